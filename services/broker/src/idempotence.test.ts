import { create } from "@bufbuild/protobuf";
import { applyChanges } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks, FetchRequestSchema, Format, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import type { BatchProducer } from "@tidemark/record";
import { reasonName } from "@tidemark/rpc";
import { describe, expect, it, test } from "vitest";
import type { ProduceOutcome } from "./partition/partition.ts";
import { callContext, createBrokerBench, imageOf } from "./testing/broker-bench.ts";
import { producerBatch } from "./testing/producer-batch.ts";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "./testing/replica-cluster.ts";

const all = [one, two, three];
const producer = (sequence: number, epoch = 0): BatchProducer => ({ id: 7n, epoch, sequence });

/** What a produce is answered: an offset, or the reason of its refusal. */
function told(outcome: ProduceOutcome | undefined): bigint | string | undefined {
  if (outcome === undefined) return undefined;
  return outcome.kind === "acknowledged" ? outcome.baseOffset : reasonName(outcome.error.reason).replace("REASON_", "");
}

function send(cluster: ReplicaCluster, at: typeof one, as: BatchProducer, ...texts: readonly string[]) {
  const sent: { answer: bigint | string | undefined; settled: ProduceOutcome | undefined } = {
    answer: undefined,
    settled: undefined,
  };
  cluster.produceAs(at, as, ...texts).then(
    (outcome) => {
      sent.settled = outcome;
      sent.answer = told(outcome);
    },
    () => undefined,
  );
  return sent;
}

async function answer(cluster: ReplicaCluster, at: typeof one, as: BatchProducer, ...texts: readonly string[]) {
  const sent = send(cluster, at, as, ...texts);
  await cluster.until(() => sent.answer !== undefined);
  return sent.answer;
}

async function elect(cluster: ReplicaCluster, leader: typeof one, isr = all): Promise<void> {
  cluster.controller.elect(leader, isr);
  await cluster.publish();
  await cluster.advance(1);
}

describe("a batch that is sent again", () => {
  it("stands once, with its first offset, at its leader and at the next one (43)", async () => {
    const cluster = await createReplicaCluster();
    expect(await answer(cluster, one, producer(0), "a", "b")).toBe(0n);
    expect(await answer(cluster, one, producer(2), "c")).toBe(2n);
    expect(await answer(cluster, one, producer(0), "a", "b")).toBe(0n);
    await elect(cluster, two);
    expect(await answer(cluster, two, producer(2), "c")).toBe(2n);
    expect(await answer(cluster, two, producer(3), "d")).toBe(3n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["a", "b", "c", "d"]);
  });

  it("is answered when the original is committed, and not before, at the next leader too (20c)", async () => {
    const cluster = await createReplicaCluster();
    const mend = cluster.exchange.cut(one, three);
    const original = send(cluster, one, producer(0), "a");
    const again = send(cluster, one, producer(0), "a");
    await cluster.until(() => cluster.broker(two).partition().log.flushedOffset === 1n);
    expect([original.answer, again.answer]).toEqual([undefined, undefined]);
    // The next leader has it, and cannot tell whether it is committed.
    const cut = cluster.exchange.cut(two, three);
    await elect(cluster, two);
    expect([original.answer, again.answer]).toEqual(["NOT_LEADER", "NOT_LEADER"]);
    const there = send(cluster, two, producer(0), "a");
    await cluster.advance(300);
    expect(there.answer).toBeUndefined();
    mend();
    cut();
    await cluster.until(() => there.answer !== undefined);
    expect(there.answer).toBe(0n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["a"]);
  });

  it("is answered below min ISR, where what is new is refused", async () => {
    const cluster = await createReplicaCluster();
    expect(await answer(cluster, one, producer(0), "a")).toBe(0n);
    cluster.controller.change({ isr: [one], elr: [two, three] });
    await cluster.publish(one);
    expect(await answer(cluster, one, producer(0), "a")).toBe(0n);
    expect(await answer(cluster, one, producer(1), "b")).toBe("NOT_ENOUGH_REPLICAS");
  });

  it("is known after the leader's power was cut, and after a clean stop", async () => {
    const cluster = await createReplicaCluster({ replicas: [one] });
    for (let sequence = 0; sequence < 5; sequence++) await answer(cluster, one, producer(sequence), `${sequence}`);
    cluster.crash(one);
    await cluster.start(one);
    await elect(cluster, one, [one]);
    expect(await answer(cluster, one, producer(3), "3")).toBe(3n);
    await cluster.stop(one);
    await cluster.start(one);
    await elect(cluster, one, [one]);
    expect(await answer(cluster, one, producer(4), "4")).toBe(4n);
    expect(await answer(cluster, one, producer(5), "5")).toBe(5n);
    expect(await cluster.textsAt(one)).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  it("is appended again where the only log that had it was cut, by a leader that is still cutting not before", async () => {
    const cluster = await createReplicaCluster();
    expect(await answer(cluster, one, producer(0), "a")).toBe(0n);
    const mend = [cluster.exchange.cut(one, two), cluster.exchange.cut(one, three)];
    send(cluster, one, producer(1), "b");
    await cluster.until(() => cluster.broker(one).partition().log.flushedOffset === 2n);
    await elect(cluster, two);
    for (const each of mend) each();
    // It finds that its log parts from the new leader's, and its disk takes long to cut it.
    const release = cluster.broker(one).disk.holdSyncs();
    await cluster.until(() => cluster.events.includes("1: truncated 2 -> 1"));
    await elect(cluster, one);
    const refused = send(cluster, one, producer(1), "b");
    await cluster.advance(1);
    expect(refused.settled).toMatchObject({
      error: { reason: Reason.LEADER_NOT_AVAILABLE, retriable: true, outcome: Outcome.NOT_APPLIED },
    });
    release();
    await cluster.advance(50);
    expect(await answer(cluster, one, producer(1), "b")).toBe(1n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["a", "b"]);
  });
});

describe("the sequence of a producer", () => {
  it("refuses gaps, fences older producer epochs, and says who is not known (44)", async () => {
    const cluster = await createReplicaCluster();
    const ask = (...[sequence, epoch]: [number, number?]) => answer(cluster, one, producer(sequence, epoch), "x");
    expect(await ask(4)).toBe("UNKNOWN_PRODUCER");
    expect(await ask(0)).toBe(0n);
    expect(await ask(2)).toBe("OUT_OF_ORDER_SEQUENCE");
    expect(await ask(1, 1)).toBe("OUT_OF_ORDER_SEQUENCE");
    expect(await ask(0, 1)).toBe(1n);
    expect(await ask(1, 0)).toBe("FENCED_PRODUCER");
    expect(await answer(cluster, one, producer(1, 1), "y", "z")).toBe(2n);
    expect(await ask(2, 1)).toBe("DUPLICATE_SEQUENCE");
  });

  it("is remembered as far as the settings say: so many batches, and so long", async () => {
    const producers = { windowBatches: 2, expirationMs: 10_000, idsMax: 10 };
    const cluster = await createReplicaCluster({ producers });
    for (let sequence = 0; sequence < 4; sequence++) await answer(cluster, one, producer(sequence), `${sequence}`);
    expect(await answer(cluster, one, producer(1), "1")).toBe("DUPLICATE_SEQUENCE");
    expect(await answer(cluster, one, producer(2), "2")).toBe(2n);
    await cluster.advance(5000);
    expect(await answer(cluster, one, producer(4), "4")).toBe(4n);
    await cluster.advance(8000);
    expect(await answer(cluster, one, producer(5), "5")).toBe(5n);
    await cluster.advance(13_000);
    expect(await answer(cluster, one, producer(6), "6")).toBe("UNKNOWN_PRODUCER");
    expect(await answer(cluster, one, producer(0, 1), "6")).toBe(6n);
  });

  it("is refused of an id that was given to nobody, which a broker that has heard later takes for a moment", async () => {
    const image = imageOf([{ name: "t", partitions: 1 }]);
    const given = (upTo: bigint) =>
      applyChanges(image, [{ kind: "producerIds", value: { nextProducerId: upTo } }]).image;
    const bench = await createBrokerBench(given(7n));
    const produce = (sequence: number) => {
      const batches = producerBatch(producer(sequence), "a");
      return bench.produce(create(ProduceRequestSchema, { topic: "t", partition: 0, batches }), callContext());
    };
    await expect(produce(0)).rejects.toMatchObject({
      reason: Reason.INVALID_ARGUMENT,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
      message: expect.stringContaining("ids come from InitProducer") as string,
    });
    await bench.apply(given(1000n));
    expect(await produce(0)).toMatchObject({ results: [{ baseOffset: 0n }] });
    // A log may know producers that restored metadata do not.
    await bench.apply(given(7n));
    expect(await produce(1)).toMatchObject({ results: [{ baseOffset: 1n }] });
  });

  it("is refused of a new producer where the partition remembers as many as it may, and of nobody else", async () => {
    const cluster = await createReplicaCluster({ producers: { windowBatches: 2, expirationMs: 1e9, idsMax: 2 } });
    const as = (id: bigint, sequence = 0): BatchProducer => ({ id, epoch: 0, sequence });
    expect(await answer(cluster, one, as(1n), "1")).toBe(0n);
    expect(await answer(cluster, one, as(2n), "2")).toBe(1n);
    expect(await answer(cluster, one, as(3n), "3")).toBe("RESOURCE_EXHAUSTED");
    expect(await answer(cluster, one, as(1n, 1), "1")).toBe(2n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["1", "2", "1"]);
  });

  it("goes on after the disk was full", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t", partitions: 1 }]));
    const produce = (sequence: number, text: string) =>
      bench.produce(
        create(ProduceRequestSchema, { topic: "t", partition: 0, batches: producerBatch(producer(sequence), text) }),
        callContext(),
      );
    await produce(0, "a");
    const free = bench.gated.fill();
    const refused = produce(1, "b".repeat(5000)).catch((error: unknown) => error);
    expect(await refused).toMatchObject({ reason: Reason.DISK_FULL, outcome: Outcome.NOT_APPLIED });
    free();
    expect(await produce(1, "b")).toMatchObject({ results: [{ baseOffset: 1n }] });
    expect(await produce(1, "b")).toMatchObject({ results: [{ baseOffset: 1n }] });
    const { partitions } = await bench.fetch(
      create(FetchRequestSchema, { topic: "t", format: Format.TEXT }),
      callContext(),
    );
    expect(partitions[0]?.records.map((record) => record.valueForm.value)).toEqual(["a", "b"]);
  });

  const two = new Uint8Array([...producerBatch(producer(0), "a"), ...producerBatch(producer(1), "b")]);
  test.each([
    ["other acks than ALL", { batches: producerBatch(producer(0), "a"), acks: Acks.LEADER }, /acks ALL/],
    ["two batches in one request", { batches: two }, /only one/],
  ])("is refused with %s", async (_, request, message) => {
    const bench = await createBrokerBench(imageOf([{ name: "t", partitions: 1 }]));
    const error = await bench
      .produce(create(ProduceRequestSchema, { topic: "t", partition: 0, ...request }), callContext())
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: Reason.INVALID_ARGUMENT, outcome: Outcome.NOT_APPLIED });
    expect(String(error)).toMatch(message);
  });
});
