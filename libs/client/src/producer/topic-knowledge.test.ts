import { Reason } from "@tidemark/proto/common/v1";
import type { TidemarkError } from "@tidemark/rpc";
import { describe, expect, test } from "vitest";
import { createFakeCluster, type FakeCluster, refused } from "../testing/fake-cluster.ts";
import type { RecordOutcome } from "./outcome.ts";
import { createProducer, type ProducerOptions } from "./producer.ts";

const topic = "t";

/** Lets as much time pass as the record needs, and no more than a minute. */
async function untilSettled(cluster: FakeCluster, outcomes: readonly (RecordOutcome | undefined)[]): Promise<void> {
  for (let step = 0; step < 600 && outcomes.includes(undefined); step++) await cluster.time.advance(100);
}

describe("the first record for a topic", () => {
  const down = () => refused(Reason.UNAVAILABLE, { retriable: true });

  test("is sent when the cluster answers again, within its delivery timeout", async () => {
    const cluster = await createFakeCluster();
    const producer = createProducer(cluster.connection, {});
    cluster.onDescribe(down(), down(), down());
    const outcomes: (RecordOutcome | undefined)[] = [undefined];
    producer.send(topic, { value: "a" }).then((outcome) => (outcomes[0] = outcome), expect.unreachable);
    await untilSettled(cluster, outcomes);
    expect(outcomes).toMatchObject([{ kind: "acknowledged" }]);
  });

  test("and those given behind it go in their order when the cluster answers again", async () => {
    const cluster = await createFakeCluster();
    const producer = createProducer(cluster.connection, {});
    cluster.onDescribe(...Array.from({ length: 6 }, down));
    const outcomes: (RecordOutcome | undefined)[] = [];
    for (let index = 0; index < 40; index++) {
      outcomes.push(undefined);
      producer
        .send(topic, { key: "k", value: `${index}` })
        .then((outcome) => (outcomes[index] = outcome), expect.unreachable);
      await cluster.time.advance(10);
    }
    await untilSettled(cluster, outcomes);
    const offsets = outcomes.map((outcome) => (outcome?.kind === "acknowledged" ? outcome.offset : undefined));
    expect(offsets).toEqual(offsets.map((_, index) => BigInt(index)));
  });

  test("is notApplied at the delivery timeout, at once where the topic is not there, and when the producer is closed", async () => {
    const outcomeOf = async (errors: readonly TidemarkError[], afterMs: number, isClosed = false) => {
      const cluster = await createFakeCluster();
      const producer = createProducer(cluster.connection, { deliveryTimeoutMs: 2000 });
      cluster.onDescribe(...errors);
      let outcome: RecordOutcome | undefined;
      const sent = producer.send(topic, { value: "a" }).then((settled) => (outcome = settled));
      if (isClosed) await producer.close();
      await cluster.time.advance(afterMs);
      if (outcome !== undefined) await sent;
      return { outcome, pending: cluster.time.pending() };
    };
    const long = Array.from({ length: 100 }, down);
    const notApplied = (reason: Reason) => ({ outcome: { kind: "notApplied", error: { reason } }, pending: 0 });
    expect(await outcomeOf(long, 2000)).toMatchObject(notApplied(Reason.UNAVAILABLE));
    const missing = refused(Reason.UNKNOWN_TOPIC, { retriable: true });
    expect(await outcomeOf([missing], 0)).toMatchObject(notApplied(Reason.UNKNOWN_TOPIC));
    expect(await outcomeOf(long, 0, true)).toMatchObject(notApplied(Reason.CANCELLED));
  });
});

test("what is known of a topic is asked for anew while one batch is tried again and again, and nothing more is given", async () => {
  const cluster = await createFakeCluster();
  const producer = createProducer(cluster.connection, {});
  await producer.prepare(topic);
  const before = cluster.described();
  const again = { kind: "refuse", error: refused(Reason.NOT_LEADER) } as const;
  cluster.onProduce(0, ...Array.from({ length: 8 }, () => again));
  const outcomes: (RecordOutcome | undefined)[] = [undefined];
  producer.enqueue(topic, { value: "a", partition: 0 }, (outcome) => (outcomes[0] = outcome));
  await untilSettled(cluster, outcomes);
  expect(outcomes).toMatchObject([{ kind: "acknowledged" }]);
  expect(cluster.described()).toBeGreaterThan(before);
});

describe("records that wait go in their order", () => {
  /** Gives records of one key and notes where each stands. */
  async function start(options: ProducerOptions = {}) {
    const cluster = await createFakeCluster();
    const producer = createProducer(cluster.connection, options);
    const stored: string[] = [];
    const give = async (value: string, signal?: AbortSignal) => {
      const outcome = await producer.send(topic, { key: "k", value }, signal === undefined ? {} : { signal });
      if (outcome.kind === "acknowledged") stored[Number(outcome.offset)] = value;
    };
    const signal = () => new AbortController().signal;
    return { cluster, producer, stored, give, signal };
  }

  test("for their topic, also before one that is given once it is known", async () => {
    const { cluster, producer, stored, give, signal } = await start();
    cluster.onDescribe(refused(Reason.UNAVAILABLE, { retriable: true }));
    const given = [give("first", signal()), give("second")];
    const prepared = producer.prepare(topic).catch(() => producer.prepare(topic));
    given.push(prepared.then(() => give("third")));
    for (let step = 0; step < 20; step++) await cluster.time.advance(100);
    await Promise.all(given);
    expect(stored).toEqual(["first", "second", "third"]);
  });

  test("for room, also before one that is given once there is some", async () => {
    const { cluster, producer, stored, give, signal } = await start({ bufferBytesMax: 1 });
    await producer.prepare(topic);
    const given = [give("first")];
    const isThereRoom = producer.writable();
    given.push(give("second", signal()), give("third"));
    given.push(isThereRoom.then(() => give("fourth")));
    for (let step = 0; step < 20; step++) await cluster.time.advance(100);
    await Promise.all(given);
    expect(stored).toEqual(["first", "second", "third", "fourth"]);
  });

  test("while one that is given up among them holds up nobody", async () => {
    const { cluster, producer, stored, give } = await start({ bufferBytesMax: 1 });
    await producer.prepare(topic);
    const aborted = new AbortController();
    const given = [give("first"), give("second"), give("given up", aborted.signal), give("third")];
    aborted.abort();
    for (let step = 0; step < 20; step++) await cluster.time.advance(100);
    await Promise.all(given);
    expect(stored).toEqual(["first", "second", "third"]);
  });
});
