import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { answerLost, bootstrap, createFakeCluster, type FakeCluster, refused } from "../testing/fake-cluster.ts";
import type { RecordOutcome } from "./outcome.ts";
import { createProducer, type Producer, type ProducerOptions } from "./producer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const topic = "t";

async function setUp(options: ProducerOptions = {}, partitions = 1) {
  const cluster = await createFakeCluster(partitions);
  const producer = createProducer(cluster.connection, options);
  await producer.prepare(topic);
  return { cluster, producer };
}

/** Gives records to partition 0 and returns where their outcomes will stand, in the order of the records. */
function give(producer: Producer, texts: readonly string[], partition = 0): (RecordOutcome | undefined)[] {
  const outcomes: (RecordOutcome | undefined)[] = texts.map(() => undefined);
  texts.forEach((text, index) => {
    producer.enqueue(topic, { value: bytes(text), partition }, (outcome) => {
      outcomes[index] = outcome;
    });
  });
  return outcomes;
}

/** Lets the linger pass and whatever follows at once. */
const settle = (cluster: FakeCluster) => cluster.time.advance(10);

/** Lets as much time pass as the records need, and no more than a minute. */
async function untilSettled(cluster: FakeCluster, outcomes: readonly (RecordOutcome | undefined)[]): Promise<void> {
  for (let step = 0; step < 600 && outcomes.includes(undefined); step++) await cluster.time.advance(100);
}

const kinds = (outcomes: readonly (RecordOutcome | undefined)[]) => outcomes.map((outcome) => outcome?.kind);

describe("a producer", () => {
  test("acknowledges every record with its own offset", async () => {
    const { cluster, producer } = await setUp();
    const outcomes = give(producer, ["a", "b", "c"]);
    await settle(cluster);
    expect(outcomes).toEqual([0n, 1n, 2n].map((offset) => ({ kind: "acknowledged", partition: 0, offset })));
    expect(cluster.seen).toHaveLength(1);
  });

  test("collects what comes while a batch is on its way into the next one", async () => {
    const { cluster, producer } = await setUp();
    const gate = createDeferred();
    cluster.onProduce(0, { kind: "hold", until: gate.promise });
    give(producer, ["a"]);
    await settle(cluster);
    give(producer, ["b"]);
    give(producer, ["c"]);
    gate.resolve();
    await settle(cluster);
    expect(cluster.seen.map(({ values }) => values)).toEqual([["a"], ["b", "c"]]);
  });

  test("closes a batch before it grows above its size", async () => {
    const { cluster, producer } = await setUp({ batchBytesMax: 300 });
    give(producer, ["x".repeat(100), "y".repeat(100), "z".repeat(100)]);
    await settle(cluster);
    expect(cluster.seen.map(({ values }) => values.length)).toEqual([2, 1]);
  });

  test.each([
    { idempotence: true, most: 19 },
    { idempotence: false, most: 1 },
  ])("keeps the order when a batch has to be sent again, idempotence $idempotence", async ({ idempotence, most }) => {
    const { cluster, producer } = await setUp({ batchBytesMax: 100, idempotence });
    const again = { kind: "refuse", error: refused(Reason.NOT_LEADER) } as const;
    cluster.onProduce(0, again, again, again);
    const texts = Array.from({ length: 20 }, (_, index) => `${index} ${"x".repeat(30)}`);
    const outcomes = give(producer, texts);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(texts.map(() => "acknowledged"));
    expect(cluster.valuesOf(0)).toEqual(texts);
    expect(cluster.inFlightMost()).toBe(most);
  });

  test("without idempotence sends again what is unknown too, so it may stand twice", async () => {
    const { cluster, producer } = await setUp({ idempotence: false });
    cluster.onProduce(0, { kind: "loseAnswer", error: answerLost() });
    const outcomes = give(producer, ["a"]);
    await cluster.time.advance(5000);
    expect(outcomes).toEqual([{ kind: "acknowledged", partition: 0, offset: 1n }]);
    expect(cluster.valuesOf(0)).toEqual(["a", "a"]);
  });

  test("sends again what is unknown also where the error is one that does not pass", async () => {
    const { cluster, producer } = await setUp();
    const defect = new TidemarkError({ reason: Reason.INTERNAL, message: "A defect", outcome: Outcome.UNKNOWN });
    cluster.onProduce(0, { kind: "loseAnswer", error: defect });
    const outcomes = give(producer, ["a"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged"]);
  });

  test("takes an error that stands in the answer for what it is", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuseInAnswer", error: refused(Reason.CORRUPT_BATCH) });
    const outcomes = give(producer, ["a"]);
    await settle(cluster);
    expect(outcomes).toMatchObject([{ kind: "notApplied", error: { reason: Reason.CORRUPT_BATCH } }]);
  });

  test("does not hold up other partitions while one waits to be tried again", async () => {
    const { cluster, producer } = await setUp({}, 2);
    cluster.onProduce(
      0,
      ...Array.from({ length: 50 }, () => ({ kind: "refuse", error: refused(Reason.LEADER_NOT_AVAILABLE) }) as const),
    );
    const first = give(producer, ["a"], 0);
    const second = give(producer, ["b"], 1);
    await settle(cluster);
    expect(kinds([...first, ...second])).toEqual([undefined, "acknowledged"]);
  });
});

describe("an outcome (P12)", () => {
  const final = { kind: "refuse", error: refused(Reason.PERMISSION_DENIED) } as const;

  test("is notApplied where every attempt certainly was", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuse", error: refused(Reason.NOT_LEADER) }, final);
    const [outcome] = await outcomesAfter(cluster, producer, ["a"]);
    expect(outcome).toMatchObject({ kind: "notApplied", error: { outcome: Outcome.NOT_APPLIED } });
  });

  test("is unknown where any attempt was, though the last one was refused", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "loseAnswer", error: answerLost() }, final);
    const [outcome] = await outcomesAfter(cluster, producer, ["a"]);
    expect(outcome).toMatchObject({
      kind: "unknown",
      error: { reason: Reason.PERMISSION_DENIED, outcome: Outcome.UNKNOWN },
    });
  });

  test("comes at the delivery timeout at the latest", async () => {
    const { cluster, producer } = await setUp({ deliveryTimeoutMs: 10_000 });
    cluster.onProduce(
      0,
      ...Array.from({ length: 500 }, () => ({ kind: "refuse", error: refused(Reason.NOT_ENOUGH_REPLICAS) }) as const),
    );
    const outcomes = give(producer, ["a"]);
    await cluster.time.advance(10_000);
    expect(outcomes).toMatchObject([{ kind: "notApplied", error: { reason: Reason.NOT_ENOUGH_REPLICAS } }]);
  });

  test("comes then also where nobody answers who the producer is", async () => {
    const { cluster, producer } = await setUp({ deliveryTimeoutMs: 2000 });
    cluster.initHangs = true;
    const outcomes = give(producer, ["a"]);
    await cluster.time.advance(2000);
    expect(outcomes).toMatchObject([{ kind: "notApplied", error: { reason: Reason.DEADLINE_EXCEEDED } }]);
  });

  test("is notApplied for what waited out its time behind another batch, and that is never sent", async () => {
    const { cluster, producer } = await setUp({ deliveryTimeoutMs: 10_000, batchBytesMax: 80 });
    const gate = createDeferred();
    cluster.onProduce(0, { kind: "hold", until: gate.promise });
    const outcomes = give(producer, ["a".repeat(50), "b".repeat(50)]);
    await cluster.time.advance(10_500);
    gate.resolve();
    await settle(cluster);
    expect(outcomes).toMatchObject([
      { kind: "acknowledged" },
      { kind: "notApplied", error: { reason: Reason.DEADLINE_EXCEEDED, outcome: Outcome.NOT_APPLIED } },
    ]);
    expect(cluster.seen).toHaveLength(1);
  });

  async function outcomesAfter(cluster: FakeCluster, producer: Producer, texts: readonly string[]) {
    const outcomes = give(producer, texts);
    await cluster.time.advance(5000);
    return outcomes;
  }
});

describe("a batch that the topic refuses for its size", () => {
  test("goes again in halves, in order, and later ones begin smaller", async () => {
    const { cluster, producer } = await setUp({ batchBytesMax: 2000 });
    cluster.batchBytesMax = 600;
    const texts = Array.from({ length: 40 }, (_, index) => `${index} ${"x".repeat(80)}`);
    const outcomes = give(producer, texts);
    await untilSettled(cluster, outcomes);
    expect(outcomes).toEqual(texts.map((_, index) => ({ kind: "acknowledged", partition: 0, offset: BigInt(index) })));
    expect(cluster.valuesOf(0)).toEqual(texts);
    const before = { seen: cluster.seen.length, stored: cluster.bytesOf(0).length };
    await untilSettled(cluster, give(producer, texts));
    expect(cluster.valuesOf(0)).toEqual([...texts, ...texts]);
    expect(cluster.seen.length - before.seen).toBe(cluster.bytesOf(0).length - before.stored);
  });

  test("fails only the record that is too large by itself", async () => {
    const { cluster, producer } = await setUp();
    cluster.batchBytesMax = 600;
    const outcomes = give(producer, ["a", "x".repeat(1000), "b"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged", "notApplied", "acknowledged"]);
    expect(outcomes[1]).toMatchObject({ error: { reason: Reason.MESSAGE_TOO_LARGE } });
    expect(cluster.valuesOf(0)).toEqual(["a", "b"]);
  });
});

describe("the buffer", () => {
  test("says when it is full, and when there is room again", async () => {
    const { cluster, producer } = await setUp({ bufferBytesMax: 500 });
    const gate = createDeferred();
    cluster.onProduce(0, { kind: "hold", until: gate.promise });
    const enqueue = () => producer.enqueue(topic, { value: bytes("x".repeat(300)) }, () => undefined);
    expect([enqueue(), enqueue()]).toEqual([true, false]);
    let hasRoom = false;
    const room = producer.writable().then(() => {
      hasRoom = true;
    });
    await settle(cluster);
    expect(hasRoom).toBe(false);
    gate.resolve();
    await settle(cluster);
    await room;
    expect(hasRoom).toBe(true);
  });

  test("has no room as long as what is left fills it", async () => {
    const { cluster, producer } = await setUp({ bufferBytesMax: 500, batchBytesMax: 400 });
    const gate = createDeferred();
    cluster.onProduce(0, { kind: "hold", until: Promise.resolve() }, { kind: "hold", until: gate.promise });
    const outcomes = give(producer, ["x".repeat(300), "y".repeat(600)]);
    let hasRoom = false;
    const room = producer.writable().then(() => {
      hasRoom = true;
    });
    await settle(cluster);
    expect([kinds(outcomes), hasRoom]).toEqual([["acknowledged", undefined], false]);
    gate.resolve();
    await room;
    expect(kinds(outcomes)).toEqual(["acknowledged", "acknowledged"]);
  });

  test("holds those that wait for a promise to its size, one by one", async () => {
    const { cluster, producer } = await setUp({ bufferBytesMax: 500 });
    const gate = createDeferred();
    cluster.onProduce(0, { kind: "hold", until: gate.promise });
    const sends = Array.from({ length: 10 }, () => producer.send(topic, { value: bytes("x".repeat(300)) }));
    await settle(cluster);
    gate.resolve();
    await cluster.time.advance(1000);
    expect(kinds(await Promise.all(sends))).toEqual(Array.from({ length: 10 }, () => "acknowledged"));
    expect(Math.max(...cluster.seen.map(({ values }) => values.length))).toBeLessThanOrEqual(2);
  });

  test("lets go of who waits when the signal is aborted", async () => {
    const { cluster, producer } = await setUp({ bufferBytesMax: 10 });
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    give(producer, ["a"]);
    const abort = new AbortController();
    const waiting = producer.writable(abort.signal);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

describe("flush and close", () => {
  test("flush sends without lingering and waits for what was given before it, not for what comes after", async () => {
    const { cluster, producer } = await setUp({ lingerMs: 60_000 });
    const outcomes = give(producer, ["a"]);
    await producer.flush();
    expect(kinds(outcomes)).toEqual(["acknowledged"]);
    cluster.onProduce(0, { kind: "hold", until: Promise.resolve() }, { kind: "hold", until: createDeferred().promise });
    give(producer, ["b"]);
    const flushed = producer.flush();
    const later = give(producer, ["c"]);
    await flushed;
    expect(cluster.valuesOf(0)).toEqual(["a", "b"]);
    expect(later).toEqual([undefined]);
  });

  test("flush waits for both halves of a batch that was split", async () => {
    const { cluster, producer } = await setUp();
    cluster.batchBytesMax = 400;
    const outcomes = give(producer, ["x".repeat(200), "y".repeat(200), "z".repeat(200)]);
    const flushed = producer.flush();
    await untilSettled(cluster, outcomes);
    await flushed;
    expect(kinds(outcomes)).toEqual(["acknowledged", "acknowledged", "acknowledged"]);
  });

  test("flush waits for both halves of a batch that was split, also where the second is settled first", async () => {
    const { cluster, producer } = await setUp();
    const gate = createDeferred();
    cluster.batchBytesMax = 400;
    cluster.onProduce(0, { kind: "hold", until: gate.promise });
    const outcomes = give(producer, ["x", "y".repeat(1000)]);
    let isFlushed = false;
    const flushed = producer.flush().then(() => {
      isFlushed = true;
    });
    await settle(cluster);
    expect([kinds(outcomes), isFlushed]).toEqual([[undefined, "notApplied"], false]);
    gate.resolve();
    await flushed;
    expect(kinds(outcomes)).toEqual(["acknowledged", "notApplied"]);
  });

  test("closed twice is closed once, and the second call may end the waiting of the first", async () => {
    const { cluster, producer } = await setUp({ idempotence: false });
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    const outcomes = give(producer, ["a"]);
    await settle(cluster);
    const closed = producer.close();
    await producer.close(AbortSignal.abort());
    await closed;
    await producer.close();
    expect(kinds(outcomes)).toEqual(["unknown"]);
    expect(cluster.time.pending()).toBe(0);
  });

  test("close settles what waits and refuses what comes later", async () => {
    const { producer } = await setUp();
    const outcomes = give(producer, ["a"]);
    await Promise.all([producer.close(), producer.close()]);
    expect(kinds(outcomes)).toEqual(["acknowledged"]);
    expect(await producer.send(topic, { value: bytes("b") })).toMatchObject({
      kind: "notApplied",
      error: { reason: Reason.CANCELLED, outcome: Outcome.NOT_APPLIED },
    });
  });

  test("close under an aborted signal says unknown of what was sent and notApplied of what was not", async () => {
    const { cluster, producer } = await setUp({ batchBytesMax: 80, idempotence: false });
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    const outcomes = give(producer, ["a".repeat(50), "b".repeat(50)]);
    await settle(cluster);
    await producer.close(AbortSignal.abort());
    expect(kinds(outcomes)).toEqual(["unknown", "notApplied"]);
    expect(cluster.time.pending()).toBe(0);
  });
});

describe("where records go", () => {
  test("a leader's hint is followed, and left when the leader does not answer", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(
      0,
      { kind: "refuse", error: refused(Reason.NOT_LEADER, { leader: "broker-2:4662", leaderEpoch: 5 }) },
      { kind: "refuse", error: answerLost() },
      { kind: "refuse", error: refused(Reason.NOT_LEADER, { leader: "broker-1:4660", leaderEpoch: 4 }) },
    );
    give(producer, ["a"]);
    await cluster.time.advance(5000);
    expect(cluster.seen.map(({ endpoint }) => endpoint)).toEqual([bootstrap, "broker-2:4662", bootstrap, bootstrap]);
  });

  test("records of one key go where Kafka's default partitioner sends them", async () => {
    const { cluster, producer } = await setUp({}, 6);
    for (const key of ["21", "foobar", "a-little-bit-long-string"]) {
      producer.enqueue(topic, { key: bytes(key), value: bytes(key) }, () => undefined);
    }
    await settle(cluster);
    // murmur2 of these keys: -973932308, -790332482, -985981536.
    const partitionOf = (hash: number) => (hash & 0x7fffffff) % 6;
    expect(cluster.valuesOf(partitionOf(-973932308))).toContain("21");
    expect(cluster.valuesOf(partitionOf(-790332482))).toContain("foobar");
    expect(cluster.valuesOf(partitionOf(-985981536))).toContain("a-little-bit-long-string");
  });

  test("records without a key fill one batch before they go to another partition", async () => {
    const { cluster, producer } = await setUp({ batchBytesMax: 1000 }, 6);
    for (let index = 0; index < 100; index++)
      producer.enqueue(topic, { value: bytes("x".repeat(100)) }, () => undefined);
    await cluster.time.advance(100);
    expect(Math.min(...cluster.seen.slice(0, -1).map(({ values }) => values.length))).toBeGreaterThan(1);
    expect(new Set(cluster.seen.map(({ partition }) => partition)).size).toBeGreaterThan(2);
  });

  test.each([
    ["a partition that is no number", { value: null, partition: Number.NaN }, Reason.INVALID_ARGUMENT],
    ["a negative partition", { value: null, partition: -1 }, Reason.INVALID_ARGUMENT],
    ["a value that is missing", {} as { value: null }, Reason.INVALID_RECORD],
    ["a value that is a number", { value: 7 as never }, Reason.INVALID_RECORD],
    ["a key that is an object", { key: {} as never, value: null }, Reason.INVALID_RECORD],
    ["a header without a key", { value: null, headers: [{} as never] }, Reason.INVALID_RECORD],
    ["a time with fractions", { value: null, timestampMs: 1.5 }, Reason.INVALID_RECORD],
  ])("%s is refused at once", async (_, record, reason) => {
    const { cluster, producer } = await setUp();
    expect(await producer.send(topic, record)).toMatchObject({ kind: "notApplied", error: { reason } });
    expect(cluster.seen).toEqual([]);
  });

  test("a topic that nothing is known of is refused by the cheap form", async () => {
    const { connection } = await createFakeCluster();
    const producer = createProducer(connection, {});
    let outcome: RecordOutcome | undefined;
    producer.enqueue("other", { value: null }, (told) => {
      outcome = told;
    });
    expect(outcome).toMatchObject({ kind: "notApplied", error: { reason: Reason.INVALID_ARGUMENT } });
  });
});

test("compressed batches are stored as what was given", async () => {
  const { cluster, producer } = await setUp({ compression: "gzip" });
  const text = Array.from({ length: 1000 }, (_, index) => index).join(" ");
  give(producer, [text]);
  await settle(cluster);
  expect(cluster.valuesOf(0)).toEqual([text]);
  expect(cluster.bytesOf(0)[0]?.length).toBeLessThan(text.length);
});

describe("the way to a leader", () => {
  test("is one stream for all partitions", async () => {
    const { cluster, producer } = await setUp({}, 2);
    give(producer, ["a"], 0);
    give(producer, ["b"], 1);
    await settle(cluster);
    expect(cluster.streamed.map(({ sequence, partition }) => [sequence, partition])).toEqual([
      [0n, 0],
      [1n, 1],
    ]);
  });

  test("is a call a batch where there are no streams, and nothing is stored twice for it", async () => {
    const { cluster, producer } = await setUp();
    cluster.withoutStreams = true;
    const outcomes = give(producer, ["a"]);
    await settle(cluster);
    expect([kinds(outcomes), cluster.valuesOf(0)]).toEqual([["acknowledged"], ["a"]]);
    give(producer, ["b"]);
    await settle(cluster);
    expect([cluster.valuesOf(0), cluster.streamed]).toEqual([["a", "b"], []]);
  });

  test("takes no more bytes at once than are allowed to be on their way", async () => {
    const { cluster, producer } = await setUp({ inFlightBytesMax: 100 }, 3);
    const gate = createDeferred();
    for (const partition of [0, 1, 2]) cluster.onProduce(partition, { kind: "hold", until: gate.promise });
    const outcomes = [0, 1, 2].map((partition) => give(producer, ["x".repeat(50)], partition));
    await settle(cluster);
    expect(cluster.streamed).toHaveLength(1);
    gate.resolve();
    await cluster.time.advance(100);
    expect(outcomes.map(kinds)).toEqual([["acknowledged"], ["acknowledged"], ["acknowledged"]]);
  });
});

describe("a record whose sender stops waiting", () => {
  test("is notApplied before it was taken in, and unknown afterwards", async () => {
    const { cluster, producer } = await setUp({ bufferBytesMax: 10 });
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    const abort = new AbortController();
    const taken = producer.send(topic, { value: bytes("a") }, { signal: abort.signal });
    await settle(cluster);
    const waiting = producer.send(topic, { value: bytes("b") }, { signal: abort.signal });
    await settle(cluster);
    abort.abort();
    expect(kinds([await taken, await waiting])).toEqual(["unknown", "notApplied"]);
    expect(cluster.seen).toHaveLength(1);
  });

  test("does not keep a flush waiting either", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    give(producer, ["a"]);
    await expect(producer.flush(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });
});

test("records for a topic that was deleted fail within seconds, not at the delivery timeout", async () => {
  const { cluster, producer } = await setUp();
  cluster.onProduce(
    0,
    ...Array.from({ length: 500 }, () => ({ kind: "refuse", error: refused(Reason.UNKNOWN_TOPIC) }) as const),
  );
  const outcomes = give(producer, ["a"]);
  await cluster.time.advance(10_000);
  expect(outcomes).toMatchObject([{ kind: "notApplied", error: { reason: Reason.UNKNOWN_TOPIC } }]);
});

test("text is stored as its UTF-8 bytes, in keys, values and headers", async () => {
  const { cluster, producer } = await setUp({}, 6);
  const header = { key: "h", value: "ü" };
  producer.enqueue(topic, { key: "foobar", value: "größe", headers: [header] }, () => undefined);
  await settle(cluster);
  const partition = (-790332482 & 0x7fffffff) % 6;
  expect(cluster.valuesOf(partition)).toEqual(["größe"]);
  expect(Buffer.from(cluster.bytesOf(partition)[0] ?? []).toString()).toContain("ü");
});
