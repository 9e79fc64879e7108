import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { iterateBatches } from "@tidemark/record";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { answerLost, createFakeCluster, type FakeCluster, refused } from "../testing/fake-cluster.ts";
import type { RecordOutcome } from "./outcome.ts";
import { createProducer, type Producer, type ProducerOptions } from "./producer.ts";

const topic = "t";
const bytes = (text: string) => new TextEncoder().encode(text);

async function setUp(options: ProducerOptions = {}, partitions = 1) {
  const cluster = await createFakeCluster(partitions);
  // A batch for each record.
  const producer = createProducer(cluster.connection, { batchBytesMax: 62, ...options });
  await producer.prepare(topic);
  return { cluster, producer };
}

function give(producer: Producer, texts: readonly string[], partition = 0): (RecordOutcome | undefined)[] {
  const outcomes: (RecordOutcome | undefined)[] = texts.map(() => undefined);
  texts.forEach((text, index) => {
    producer.enqueue(topic, { value: bytes(text), partition }, (outcome) => {
      outcomes[index] = outcome;
    });
  });
  return outcomes;
}

async function untilSettled(cluster: FakeCluster, outcomes: readonly (RecordOutcome | undefined)[]): Promise<void> {
  for (let step = 0; step < 600 && outcomes.includes(undefined); step++) await cluster.time.advance(100);
}

const kinds = (outcomes: readonly (RecordOutcome | undefined)[]) => outcomes.map((outcome) => outcome?.kind);

/** `id:epoch:sequence` of each batch that was sent, in order. */
const sent = (cluster: FakeCluster) =>
  cluster.streamed.flatMap(({ batches }) =>
    Array.from(iterateBatches(batches), (step) =>
      step.kind === "ok" ? `${step.header.producerId}:${step.header.producerEpoch}:${step.header.baseSequence}` : "",
    ).filter((name) => name !== ""),
  );

describe("an idempotent producer", () => {
  test("is one where acks are all, and nothing else is asked for", async () => {
    const { cluster, producer } = await setUp();
    await untilSettled(cluster, give(producer, ["a", "b", "c"]));
    expect(cluster.identities).toEqual(["7:0"]);
    expect(sent(cluster)).toEqual(["7:0:0", "7:0:1", "7:0:2"]);
    const plain = await setUp({ acks: "leader" });
    await untilSettled(plain.cluster, give(plain.producer, ["a"]));
    expect([plain.cluster.identities, sent(plain.cluster)]).toEqual([[], ["-1:-1:-1"]]);
    expect(() => createProducer(cluster.connection, { acks: "leader", idempotence: true })).toThrow(/needs acks all/);
  });

  test("is stored once where the answer was lost, and told the first offset (43)", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "loseAnswer", error: answerLost() });
    const outcomes = give(producer, ["a", "b"]);
    await untilSettled(cluster, outcomes);
    expect(outcomes).toEqual([0n, 1n].map((offset) => ({ kind: "acknowledged", partition: 0, offset })));
    expect(cluster.valuesOf(0)).toEqual(["a", "b"]);
  });

  test("has up to 64 batches of a partition on their way", async () => {
    const { cluster, producer } = await setUp();
    const gate = createDeferred();
    cluster.onProduce(0, ...Array.from({ length: 64 }, () => ({ kind: "hold", until: gate.promise }) as const));
    const texts = Array.from({ length: 100 }, (_, index) => `${index}`);
    const outcomes = give(producer, texts);
    await cluster.time.advance(10);
    expect(cluster.seen).toHaveLength(64);
    gate.resolve();
    await untilSettled(cluster, outcomes);
    expect(cluster.valuesOf(0)).toEqual(texts);
  });

  test("sends first what later batches wait for: the first of several in flight was refused (44)", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuse", error: refused(Reason.RESOURCE_EXHAUSTED) });
    const outcomes = give(producer, ["a", "b", "c"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged", "acknowledged", "acknowledged"]);
    expect(cluster.valuesOf(0)).toEqual(["a", "b", "c"]);
    expect(cluster.identities).toEqual(["7:0"]);
  });

  test("goes on under the next producer epoch behind a batch that was given up (44)", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuse", error: refused(Reason.CORRUPT_BATCH) });
    const outcomes = give(producer, ["a", "b", "c"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["notApplied", "acknowledged", "acknowledged"]);
    expect(cluster.valuesOf(0)).toEqual(["b", "c"]);
    expect(cluster.identities).toEqual(["7:0", "7:1"]);
    expect(sent(cluster).slice(-2)).toEqual(["7:1:0", "7:1:1"]);
  });

  test("stores what follows a batch that was refused for its size, once, though answers are lost on both sides of it", async () => {
    const { cluster, producer } = await setUp();
    cluster.batchBytesMax = 100;
    const gate = createDeferred();
    // The batch after the refused one breaks the stream, and nobody hears what became of the one before it either.
    cluster.onProduce(0, { kind: "hold", until: gate.promise }, { kind: "refuse", error: answerLost() });
    const outcomes = give(producer, ["a", "b".repeat(100), "c", "d"]);
    await cluster.time.advance(1);
    gate.resolve();
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged", "notApplied", "acknowledged", "acknowledged"]);
    expect(outcomes[1]).toMatchObject({ error: { reason: Reason.MESSAGE_TOO_LARGE } });
    expect(cluster.valuesOf(0)).toEqual(["a", "c", "d"]);
    expect(cluster.identities).toEqual(["7:0", "7:1"]);
  });

  test("is not in doubt of what was sent behind a batch that is given up later", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(
      0,
      { kind: "refuse", error: refused(Reason.RESOURCE_EXHAUSTED) },
      { kind: "refuse", error: answerLost() },
      { kind: "refuse", error: refused(Reason.CORRUPT_BATCH) },
    );
    const outcomes = give(producer, ["a", "b", "c"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["notApplied", "acknowledged", "acknowledged"]);
    expect(cluster.valuesOf(0)).toEqual(["b", "c"]);
  });

  test("settles what came before a gap under the identity that it was sent with", async () => {
    const { cluster, producer } = await setUp();
    cluster.batchBytesMax = 100;
    const refusals = Array.from({ length: 3 }, () => ({
      kind: "refuse" as const,
      error: refused(Reason.NOT_ENOUGH_REPLICAS, { retriable: true }),
    }));
    cluster.onProduce(0, ...refusals);
    const outcomes = give(producer, ["a", "b".repeat(100), "c"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged", "notApplied", "acknowledged"]);
    expect(cluster.valuesOf(0)).toEqual(["a", "c"]);
    expect(sent(cluster).at(-1)).toBe("7:1:0");
    expect(sent(cluster).filter((name) => name === "7:0:0").length).toBeGreaterThan(1);
  });

  test("calls what was sent behind a gap not applied, and not unknown, when it is closed before the answer", async () => {
    const { cluster, producer } = await setUp();
    cluster.batchBytesMax = 100;
    const outcomes = give(producer, ["a".repeat(100), "b", "c"]);
    cluster.onProduce(0, { kind: "hold", until: createDeferred().promise });
    await cluster.time.advance(0);
    await producer.close(AbortSignal.abort());
    expect(kinds(outcomes)).toEqual(["notApplied", "notApplied", "notApplied"]);
    expect(cluster.valuesOf(0)).toEqual([]);
  });

  test("sends nothing that cannot follow a batch that was given up", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuse", error: refused(Reason.CORRUPT_BATCH) });
    await untilSettled(cluster, give(producer, ["a"]));
    await untilSettled(cluster, give(producer, ["b"]));
    expect(sent(cluster)).toEqual(["7:0:0", "7:1:0"]);
  });

  test("begins no producer epoch while something of the one before is on its way", async () => {
    const { cluster, producer } = await setUp();
    const gate = createDeferred();
    cluster.onProduce(
      0,
      { kind: "refuse", error: refused(Reason.CORRUPT_BATCH) },
      { kind: "hold", until: gate.promise },
    );
    const first = give(producer, ["a", "b"]);
    await producer.flush(AbortSignal.abort()).catch(() => undefined);
    await cluster.time.advance(10);
    const later = give(producer, ["c", "d"]);
    await cluster.time.advance(1000);
    expect(cluster.identities).toEqual(["7:0"]);
    gate.resolve();
    await untilSettled(cluster, first);
    await untilSettled(cluster, later);
    expect([kinds(first), kinds(later)]).toEqual([
      ["notApplied", "acknowledged"],
      ["acknowledged", "acknowledged"],
    ]);
    expect(cluster.valuesOf(0)).toEqual(["b", "c", "d"]);
  });

  test("goes on under the next producer epoch where its state has expired, and the others as they were", async () => {
    const { cluster, producer } = await setUp({}, 2);
    const before = [give(producer, ["a"], 0), give(producer, ["x"], 1)];
    for (const each of before) await untilSettled(cluster, each);
    cluster.forgetProducers(0);
    const after = [give(producer, ["b"], 0), give(producer, ["y"], 1)];
    for (const each of after) await untilSettled(cluster, each);
    expect(after.flatMap(kinds)).toEqual(["acknowledged", "acknowledged"]);
    expect([cluster.valuesOf(0), cluster.valuesOf(1)]).toEqual([
      ["a", "b"],
      ["x", "y"],
    ]);
    expect(cluster.identities).toEqual(["7:0", "7:1"]);
  });

  test("calls what is in doubt unknown when its producer epoch ends, and never sends it again", async () => {
    const { cluster, producer } = await setUp();
    await untilSettled(cluster, give(producer, ["a"]));
    // Stored, and forgotten with everything else before it is sent again.
    cluster.onProduce(0, { kind: "loseAnswer", error: answerLost() });
    const outcomes = give(producer, ["b", "c"]);
    await cluster.time.advance(1);
    cluster.forgetProducers(0);
    await untilSettled(cluster, outcomes);
    expect(outcomes[0]).toMatchObject({ kind: "unknown", error: { outcome: Outcome.UNKNOWN } });
    expect(cluster.valuesOf(0).filter((value) => value === "b")).toEqual(["b"]);
  });

  test("takes another id where its own is fenced", async () => {
    const { cluster, producer } = await setUp();
    cluster.onProduce(0, { kind: "refuse", error: refused(Reason.FENCED_PRODUCER) });
    const outcomes = give(producer, ["a"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged"]);
    expect(cluster.identities).toEqual(["7:0", "8:0"]);
  });

  test("asks for an identity until it gets one, and tells why where it gets none in time", async () => {
    const { cluster, producer } = await setUp({ deliveryTimeoutMs: 3000 });
    cluster.onInit(refused(Reason.UNAVAILABLE));
    const outcomes = give(producer, ["a"]);
    await untilSettled(cluster, outcomes);
    expect(kinds(outcomes)).toEqual(["acknowledged"]);
    const none = await setUp({ deliveryTimeoutMs: 3000 });
    none.cluster.onInit(...Array.from({ length: 100 }, () => refused(Reason.UNAVAILABLE)));
    const late = give(none.producer, ["a", "b"]);
    await untilSettled(none.cluster, late);
    expect(late).toMatchObject([{ kind: "notApplied", error: { reason: Reason.UNAVAILABLE } }, { kind: "notApplied" }]);
    const refusing = await setUp();
    refusing.cluster.onInit(refused(Reason.PERMISSION_DENIED));
    const forbidden = give(refusing.producer, ["a"]);
    await refusing.cluster.time.advance(10);
    expect(forbidden).toMatchObject([{ kind: "notApplied", error: { reason: Reason.PERMISSION_DENIED } }]);
  });
});
