import {
  type Client,
  type ConsumedRecord,
  Outcome,
  type Producer,
  Reason,
  type RecordOutcome,
  TidemarkError,
} from "@tidemark/client";
import { describe, expect, test } from "vitest";
import { measureConsume, measureEndToEnd, measureFailover, measureProduce } from "./measure.ts";

const noTopic = new TidemarkError({ reason: Reason.UNKNOWN_TOPIC, message: "There is no topic t" });
const tooLarge = new TidemarkError({
  reason: Reason.MESSAGE_TOO_LARGE,
  message: "Too large",
  outcome: Outcome.NOT_APPLIED,
});
const refused: RecordOutcome = { kind: "notApplied", error: tooLarge };
const signal = new AbortController().signal;
const load = { topic: "t", records: 5, size: 10, producer: {}, signal };

interface FakeParts {
  readonly outcomeOf?: (index: number) => RecordOutcome | Promise<RecordOutcome>;
  readonly isMissing?: boolean;
}

/** A cluster of one partition whose consumer is handed what was acknowledged. */
function createFakeClient({ outcomeOf, isMissing = false }: FakeParts = {}): Client {
  const stored: bigint[] = [];
  const running: Promise<RecordOutcome>[] = [];
  let sent = 0;
  let wake: () => void = () => undefined;
  const sendOne = async (index: number): Promise<RecordOutcome> => {
    const outcome = (await outcomeOf?.(index)) ?? {
      kind: "acknowledged",
      partition: 0,
      offset: BigInt(stored.length),
    };
    if (outcome.kind === "acknowledged") stored.push(BigInt(stored.length));
    wake();
    return outcome;
  };
  const send = () => {
    const outcome = sendOne(sent++);
    running.push(outcome);
    return outcome;
  };
  const producer: Partial<Producer> = {
    prepare: async () => {
      if (isMissing) throw noTopic;
    },
    send,
    enqueue: (_topic, _record, settle) => {
      running.push(send().then((outcome) => (settle(outcome), outcome)));
      return true;
    },
    close: async () => {
      await Promise.all(running);
    },
  };
  async function* records(over: AbortSignal) {
    over.addEventListener("abort", () => wake(), { once: true });
    for (let at = 0; !over.aborted; ) {
      const offset = stored[at];
      if (offset !== undefined) {
        at++;
        yield { partition: 0, offset } as ConsumedRecord;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  async function* batches(over: AbortSignal) {
    if (isMissing) {
      // As long as it takes: who measures has asked whether there is such a topic.
      await new Promise((resolve) => over.addEventListener("abort", resolve, { once: true }));
      return;
    }
    for (let batch = 0; batch < 3; batch++) {
      yield { records: Array.from({ length: 4 }, () => ({ key: null, value: new Uint8Array(10) })) };
    }
  }
  const consumer = { records, batches, positions: () => new Map([[0, 0n]]) };
  const admin = {
    describeTopics: async () => {
      if (isMissing) throw noTopic;
      return {};
    },
  };
  return { createProducer: () => producer, createConsumer: () => consumer, admin } as unknown as Client;
}

describe("a measurement", () => {
  test.each([
    ["produce", (client: Client) => measureProduce(client, load)],
    ["consume", (client: Client) => measureConsume(client, load)],
    ["end-to-end", (client: Client) => measureEndToEnd(client, load)],
    ["failover", (client: Client) => measureFailover(client, { ...load, durationMs: 1, pauses: 5 })],
  ])("%s of a topic that is not there ends with the error that says so", async (_, measure) => {
    await expect(measure(createFakeClient({ isMissing: true }))).rejects.toBe(noTopic);
  });

  test.each([
    ["produce", (client: Client) => measureProduce(client, load)],
    ["end-to-end", (client: Client) => measureEndToEnd(client, load)],
  ])("%s counts what was not acknowledged and says why, and waits for none of it", async (_, measure) => {
    const client = createFakeClient({ outcomeOf: (index) => (index % 2 === 0 ? refused : (undefined as never)) });
    expect(await measure(client)).toMatchObject({
      records: 5,
      failed: 3,
      failures: [expect.stringMatching(/^3 records \(failed, REASON_MESSAGE_TOO_LARGE\): Too large/)],
    });
  });

  test("consume ends after so many records, within a batch too", async () => {
    expect(await measureConsume(createFakeClient(), { ...load, records: 6 })).toMatchObject({ records: 6 });
    expect(await measureConsume(createFakeClient(), { ...load, records: 100 })).toMatchObject({ records: 12 });
  });

  test("failover counts the time since the last ack as a pause, also where none came any more", async () => {
    const client = createFakeClient({ outcomeOf: () => refused });
    const { records, failed, pausesMs } = await measureFailover(client, { ...load, durationMs: 1, pauses: 5 });
    expect(failed).toBe(records);
    expect(pausesMs).toHaveLength(1);
  });
});
