import type { Client } from "@tidemark/client";
import { waitFor } from "@tidemark/testkit";

/** Records with acks=all to the topic `load`, one behind the other, each with its number as value. */
export interface Load {
  /** What was acknowledged so far. */
  readonly acked: readonly string[];
  /** Resolves after some more acks. */
  goesOn(what: string): Promise<void>;
  stop(): Promise<void>;
}

/** Makes the topic, of one partition on so many brokers, of which one may be missing, and writes to it until it is stopped. */
export async function startLoad(client: Client, brokers: 2 | 3): Promise<Load> {
  await client.admin.createTopic({
    topic: "load",
    partitions: 1,
    replicationFactor: brokers,
    settings: { "min.insync.replicas": String(brokers - 1) },
  });
  const producer = client.createProducer();
  const acked: string[] = [];
  let isOver = false;
  const work = async () => {
    for (let n = 0; !isOver; n++) {
      const { kind } = await producer.send("load", { value: new TextEncoder().encode(String(n)), partition: 0 });
      if (kind === "acknowledged") acked.push(String(n));
    }
  };
  const working = work();
  return {
    acked,
    async goesOn(what) {
      const until = acked.length + 50;
      await waitFor(`acks ${what}`, () => acked.length >= until);
    },
    async stop() {
      isOver = true;
      await working;
      await producer.close();
    },
  };
}

/** What of `acked` is not read from the topic `load` by a reader that begins at its start. */
export async function missingOf(acked: readonly string[], read: (args: readonly string[]) => Promise<string>) {
  const values = new Set(
    (await read(["consume", "load", "--from", "earliest", "--until-end", "--format", "raw"])).split("\n"),
  );
  return acked.filter((value) => !values.has(value));
}
