import { partitionOfKey, textToBytes } from "@tidemark/format";
import { topicId } from "@tidemark/ids";
import { Codec, Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { decodeRecords, encodeBatch, iterateBatches, portableCrc32c } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FakeBroker } from "../testing/fake-broker.ts";
import { startWorld, type World, type WorldOptions } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());
const start = async (topic?: Pick<WorldOptions, "leads" | "settings">) => {
  await world.reset(topic);
  return world;
};
/** For a test after which a broker is gone. */
const withOwnWorld = async (test: (own: World) => Promise<void>) => {
  const own = await startWorld();
  try {
    await test(own);
  } finally {
    await own.stop();
  }
};

const hello = { topic: "orders", records: [{ valueForm: { case: "text", value: "hello" } as const }] };
const toPartition = (partition: number) => ({ ...hello, partition });
const keyed = (key: string) => ({ keyForm: { case: "keyText", value: key } as const, ...hello.records[0] });
const notLeader = (leader?: { broker: number; endpoint: string; leaderEpoch: number }) =>
  new TidemarkError({ reason: Reason.NOT_LEADER, message: "elsewhere", ...(leader === undefined ? {} : { leader }) });
const hintTo = (broker: FakeBroker, leaderEpoch: number) => ({
  broker: broker.id,
  endpoint: broker.endpoint,
  leaderEpoch,
});
function batchOf(bytes: number): Uint8Array {
  const record = { timestamp: 1n, key: null, value: new Uint8Array(bytes), headers: [] };
  return encodeBatch([record], { crc32c: portableCrc32c });
}
function valuesIn(batches: Uint8Array): string[] {
  const values: string[] = [];
  for (const step of iterateBatches(batches)) {
    if (step.kind !== "ok") break;
    const decoded = decodeRecords(batches, step.header, { codecs: {}, maxDecompressedBytes: 2 ** 20 });
    if (decoded.kind === "ok")
      for (const { value } of decoded.records) values.push(Buffer.from(value ?? []).toString());
  }
  return values;
}

describe("a produce in people's form", () => {
  it("brings each record to the partition of its key, and tells one result a partition", async () => {
    const { log, broker } = await start();
    const keys = ["a", "b", "c", "d", "e", "f"];
    const { results } = await log.produce({ topic: "orders", records: keys.map(keyed) });
    const byPartition = (partition: number) => keys.filter((key) => partitionOfKey(textToBytes(key), 2) === partition);
    expect(results.map(({ partition, records }) => [partition, records]).sort()).toEqual([
      [0, byPartition(0).length],
      [1, byPartition(1).length],
    ]);
    expect(broker(1).produced.map(({ partition }) => partition)).toEqual([0]);
    expect(broker(2).produced.map(({ partition }) => partition)).toEqual([1]);
  });

  it("keeps the records without a key of one request together", async () => {
    const { log, brokers } = await start();
    await log.produce({ topic: "orders", records: Array.from({ length: 9 }, () => ({ ...hello.records[0] })) });
    const produced = brokers.flatMap((each) => each.produced);
    expect(produced.map(({ batches }) => valuesIn(batches).length)).toEqual([9]);
  });

  it("prefers a partition that has a leader where the caller leaves the choice", async () => {
    const { log } = await start({
      leads: Array.from({ length: 20 }, (_, partition) => ({
        partition,
        leader: partition === 13 ? 1 : undefined,
        leaderEpoch: 1,
      })),
    });
    const { results } = await log.produce(hello);
    expect(results.map(({ partition }) => partition)).toEqual([13]);
  });

  it("compresses with the codec that was asked for", async () => {
    const { log, broker } = await start();
    const value = { case: "text", value: "again and ".repeat(100) } as const;
    await log.produce({ topic: "orders", partition: 0, records: [{ valueForm: value }], codec: Codec.GZIP });
    const [step] = iterateBatches(broker(1).produced[0]?.batches ?? new Uint8Array());
    expect(step).toMatchObject({ kind: "ok", header: { codecId: 1 } });
  });

  it("names the topic's id and the time that is left to the leader", async () => {
    const { log, broker, controller } = await start();
    await log.produce({ ...toPartition(0), acks: Acks.LEADER, timeoutMs: 700 });
    const [request] = broker(1).produced;
    expect(request).toMatchObject({ topicId: controller.ordersId, acks: Acks.LEADER });
    expect(request?.timeoutMs).toBeGreaterThan(0);
    expect(request?.timeoutMs).toBeLessThanOrEqual(700);
  });

  it.each([
    { says: "a topic that is not there", request: { ...hello, topic: "nope" }, reason: Reason.UNKNOWN_TOPIC },
    { says: "a partition that is not there", request: toPartition(9), reason: Reason.UNKNOWN_PARTITION },
    { says: "another topic's id", request: { ...hello, topicId: "x" }, reason: Reason.UNKNOWN_TOPIC_ID },
    { says: "no topic", request: { ...hello, topic: "" }, reason: Reason.INVALID_ARGUMENT },
    { says: "nothing to store", request: { topic: "orders" }, reason: Reason.INVALID_ARGUMENT },
    { says: "an unknown codec", request: { ...hello, codec: 9 as Codec }, reason: Reason.UNSUPPORTED_CODEC },
    {
      says: "a record that JSON cannot hold",
      request: {
        topic: "orders",
        records: [
          { valueForm: { case: "text", value: "fine" } as const },
          {
            valueForm: { case: "json", value: { kind: { case: "numberValue", value: Number.NaN } } } as const,
          },
        ],
      },
      reason: Reason.INVALID_RECORD,
    },
    {
      says: "a batch above the limit",
      request: {
        topic: "orders",
        records: [{ valueForm: { case: "value", value: new Uint8Array(2 ** 20) } as const }],
      },
      reason: Reason.MESSAGE_TOO_LARGE,
    },
  ])("is refused at the first hop for $says, and nothing is stored", async ({ request, reason }) => {
    const { log, brokers } = await start();
    await expect(log.produce(request)).rejects.toMatchObject({ reason, outcome: Outcome.NOT_APPLIED });
    expect(brokers.flatMap((each) => each.produced)).toEqual([]);
  });
});

describe("a produce of encoded batches", () => {
  it("goes on as it came, for a producer's own compression and identity", async () => {
    const { log, broker } = await start();
    const batches = Buffer.concat([batchOf(100), batchOf(200)]);
    const { results } = await log.produce({ topic: "orders", partition: 0, batches, codec: Codec.NONE });
    expect(results).toMatchObject([{ partition: 0, baseOffset: 0n, records: 2 }]);
    expect(Buffer.from(broker(1).produced[0]?.batches ?? [])).toEqual(batches);
  });

  const cut = batchOf(100).subarray(0, 100);
  it.each([
    { says: "without a partition", request: { batches: batchOf(1) }, reason: Reason.INVALID_ARGUMENT },
    { says: "beside records", request: { ...toPartition(0), batches: batchOf(1) }, reason: Reason.INVALID_ARGUMENT },
    { says: "cut short", request: { partition: 0, batches: cut }, reason: Reason.CORRUPT_BATCH },
    { says: "that are none", request: { partition: 0, batches: new Uint8Array(80) }, reason: Reason.CORRUPT_BATCH },
    { says: "above the limit", request: { partition: 0, batches: batchOf(2 ** 20) }, reason: Reason.MESSAGE_TOO_LARGE },
  ])("is refused at the first hop $says", async ({ request, reason }) => {
    const { log, brokers } = await start();
    await expect(log.produce({ topic: "orders", ...request })).rejects.toMatchObject({ reason });
    expect(brokers.flatMap((each) => each.produced)).toEqual([]);
  });

  it("53: passes with the largest batch of the topic, and not with one byte more", async () => {
    const { log, broker } = await start({ settings: { "max.message.bytes": String(batchOf(3000).length) } });
    await log.produce({ topic: "orders", partition: 0, batches: batchOf(3000) });
    expect(broker(1).produced).toHaveLength(1);
    await expect(log.produce({ topic: "orders", partition: 0, batches: batchOf(3001) })).rejects.toMatchObject({
      reason: Reason.MESSAGE_TOO_LARGE,
    });
    expect(broker(1).produced).toHaveLength(1);
  });
});

describe("45: stale routing", () => {
  it("follows a hint of a newer leader epoch at once", async () => {
    const { log, broker } = await start();
    broker(1).produce = () => {
      throw notLeader(hintTo(broker(2), 2));
    };
    const { results } = await log.produce(toPartition(0));
    expect(results[0]?.baseOffset).toBe(0n);
    expect([broker(1).produced.length, broker(2).produced.length]).toEqual([1, 1]);
    await log.produce(toPartition(0));
    expect([broker(1).produced.length, broker(2).produced.length]).toEqual([1, 2]);
  });

  it("waits for the metadata where the hint is no newer, and goes on as soon as they come", async () => {
    const { log, broker, controller } = await start();
    broker(1).produce = () => {
      controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
      throw notLeader(hintTo(broker(1), 1));
    };
    const { results } = await log.produce(toPartition(0));
    expect(results[0]?.partition).toBe(0);
    expect(broker(2).produced).toHaveLength(1);
  });

  it("asks a leader again that does not know of its leadership yet", async () => {
    const { log, broker } = await start();
    const usual = broker(1).produce;
    let refusals = 2;
    broker(1).produce = (request, call) => {
      if (refusals-- > 0) throw notLeader();
      return usual(request, call);
    };
    await log.produce(toPartition(0));
    expect(broker(1).produced).toHaveLength(3);
  });

  it("never goes back to an older leader epoch", async () => {
    const { log, broker } = await start({ leads: [{ partition: 0, leader: 1, leaderEpoch: 5 }] });
    broker(1).produce = () => {
      throw notLeader(hintTo(broker(2), 4));
    };
    await expect(log.produce({ ...toPartition(0), timeoutMs: 400 })).rejects.toMatchObject({
      reason: Reason.NOT_LEADER,
    });
    expect(broker(2).produced).toEqual([]);
  });

  it("does not run in circles between brokers that outbid each other", async () => {
    const { log, broker } = await start();
    let epoch = 1;
    broker(1).produce = () => {
      throw notLeader(hintTo(broker(2), ++epoch));
    };
    broker(2).produce = () => {
      throw notLeader(hintTo(broker(1), ++epoch));
    };
    await expect(log.produce({ ...toPartition(0), timeoutMs: 500 })).rejects.toMatchObject({
      reason: Reason.NOT_LEADER,
      outcome: Outcome.NOT_APPLIED,
    });
    expect(epoch).toBeLessThan(30);
  });

  it("finds a topic that was made again under its name", async () => {
    const { log, broker, controller } = await start();
    const again = topicId("bbbbbbbb-0000-4000-8000-000000000001");
    broker(1).produce = () => {
      controller.commit([{ kind: "topic", name: "orders", value: undefined }]);
      controller.putTopic({ id: again }, [{ partition: 0, leader: 2, leaderEpoch: 0 }]);
      throw new TidemarkError({ reason: Reason.UNKNOWN_TOPIC_ID, message: "gone" });
    };
    await log.produce(toPartition(0));
    expect(broker(2).produced.map((request) => request.topicId)).toEqual([again]);
  });
});

describe("an outcome (P12)", () => {
  it("is unknown where the answer was lost, and the produce is not sent again", async () => {
    const { log, broker } = await start();
    broker(1).produce = () => {
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "lost", outcome: Outcome.UNKNOWN });
    };
    await expect(log.produce(toPartition(0))).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.UNKNOWN,
    });
    expect(broker(1).produced).toHaveLength(1);
  });

  it("is unknown where the leader dies over the call, and the produce is not sent again", () =>
    withOwnWorld(async ({ log, broker }) => {
      broker(1).produce = () => new Promise(() => undefined);
      const produce = log.produce(toPartition(0));
      await waitFor("the produce to arrive", () => broker(1).produced.length === 1);
      await Promise.all([expect(produce).rejects.toMatchObject({ outcome: Outcome.UNKNOWN }), broker(1).stop()]);
      expect(broker(2).produced).toEqual([]);
    }));

  it("is passed on with everything that the leader said of it", async () => {
    const { log, broker } = await start();
    const error = new TidemarkError({
      reason: Reason.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      message: "appended at 7",
      baseOffset: 7n,
      isr: [1],
      minIsr: 2,
      topic: "orders",
      partition: 0,
    });
    broker(1).produce = () => {
      throw error;
    };
    await expect(log.produce(toPartition(0))).rejects.toMatchObject({
      reason: error.reason,
      message: error.message,
      outcome: Outcome.UNKNOWN,
      retriable: true,
      fields: error.fields,
    });
  });

  it("is told partition by partition where others of the call did not fail", async () => {
    const { log, broker } = await start();
    broker(2).produce = () => {
      throw new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: "no" });
    };
    const { results } = await log.produce({ topic: "orders", records: ["a", "b", "c", "d", "e", "f"].map(keyed) });
    const [first, second] = results.toSorted((a, b) => a.partition - b.partition);
    expect(first).toMatchObject({ partition: 0, baseOffset: 0n });
    expect(second).toMatchObject({ partition: 1, error: { reason: Reason.CORRUPT_BATCH }, message: "no" });
  });
});

describe("while there is no leader", () => {
  it("a produce waits, and is stored by the one that is elected", async () => {
    const { log, broker, controller } = await start({ leads: [{ partition: 0, leader: undefined, leaderEpoch: 1 }] });
    const produce = log.produce(toPartition(0));
    controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
    await produce;
    expect(broker(2).produced).toHaveLength(1);
  });

  it("a produce ends in time, and says that nothing was stored", async () => {
    const { log } = await start({ leads: [{ partition: 0, leader: undefined, leaderEpoch: 1 }] });
    await expect(log.produce({ ...toPartition(0), timeoutMs: 300 })).rejects.toMatchObject({
      reason: Reason.LEADER_NOT_AVAILABLE,
      outcome: Outcome.NOT_APPLIED,
    });
  });

  it("50: a produce that finds its leader down goes to the next one", () =>
    withOwnWorld(async ({ log, broker, controller }) => {
      await broker(1).stop();
      const produce = log.produce(toPartition(0));
      controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
      await produce;
      expect(broker(2).produced).toHaveLength(1);
    }));
});
