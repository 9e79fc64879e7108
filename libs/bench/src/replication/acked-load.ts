import type { Client } from "@tidemark/client";
import { waitFor } from "@tidemark/testkit";

/** Records on their way at once. */
const inFlight = 20;

/** A producer with acks=all to partition 0 of a topic that never rests, and when its acks came. */
export interface AckedLoad {
  /** Resolves after so many more acks. */
  acks(count: number): Promise<void>;
  /** The longest pause between two acks since `sinceMs`, in milliseconds. */
  longestPause(sinceMs: number): number;
  stop(): Promise<void>;
}

export function startAckedLoad(client: Client, topic: string): AckedLoad {
  const producer = client.createProducer();
  const value = new Uint8Array(188).fill(120);
  const ackedAt: number[] = [];
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      const { kind } = await producer.send(topic, { value, partition: 0 });
      if (kind === "acknowledged") ackedAt.push(performance.now());
    }
  };
  const workers = Array.from({ length: inFlight }, work);
  return {
    async acks(count) {
      const until = ackedAt.length + count;
      await waitFor("acks", () => ackedAt.length >= until);
    },
    longestPause(sinceMs) {
      const from = ackedAt.findLastIndex((at) => at < sinceMs);
      let longest = 0;
      for (let index = Math.max(1, from + 1); index < ackedAt.length; index++) {
        longest = Math.max(longest, (ackedAt[index] ?? 0) - (ackedAt[index - 1] ?? 0));
      }
      return longest;
    },
    async stop() {
      isOver = true;
      await Promise.all(workers);
      await producer.close();
    },
  };
}
