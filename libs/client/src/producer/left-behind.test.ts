import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { describe, expect, test } from "vitest";
import { createFakeCluster, refused } from "../testing/fake-cluster.ts";
import { silenceMs } from "./left-behind.ts";
import type { RecordOutcome } from "./outcome.ts";
import { createProducer, type ProducerOptions } from "./producer.ts";

const topic = "t";
const frozen = { endpoint: "broker-1:4641", leaderEpoch: 1 };
const next = { endpoint: "broker-2:4641", leaderEpoch: 2 };
const never = { kind: "hold", until: new Promise<void>(() => undefined) } as const;

/** A producer of one batch a record, whose partition 0 has a leader that does not answer the next `unanswered` batches. */
async function setUp(unanswered: number, options: ProducerOptions = {}) {
  const cluster = await createFakeCluster();
  cluster.lead(0, frozen);
  const producer = createProducer(cluster.connection, { batchBytesMax: 62, ...options });
  await producer.prepare(topic);
  cluster.onProduce(0, ...Array.from({ length: unanswered }, () => never));
  const outcomes: (RecordOutcome | undefined)[] = [];
  const give = (text: string) => {
    const at = outcomes.push(undefined) - 1;
    producer.enqueue(topic, { value: new TextEncoder().encode(text), partition: 0 }, (outcome) => {
      outcomes[at] = outcome;
    });
  };
  const places = () => cluster.seen.map(({ endpoint, values }) => `${values.join()} ${endpoint}`);
  return { cluster, producer, outcomes, give, places };
}

const acknowledged = (offset: bigint) => ({ kind: "acknowledged", partition: 0, offset });

describe("a leader that answers nothing any more", () => {
  test("is left with all that it has once another one leads, and that is stored once and in its order", async () => {
    const { cluster, producer, outcomes, give, places } = await setUp(3);
    // The followers have the first one, so the next leader does.
    cluster.onProduce(0, { kind: "storeUnanswered" }, never, never);
    for (const text of ["a", "b"]) give(text);
    await cluster.time.advance(silenceMs - 100);
    // Behind the others at the same leader, and not silent for as long.
    give("c");
    const flushed = producer.flush();
    cluster.lead(0, next);
    await cluster.time.advance(200);
    await flushed;
    expect(places().slice(0, 3)).toEqual(["a", "b", "c"].map((text) => `${text} ${frozen.endpoint}`));
    expect(outcomes).toEqual([acknowledged(0n), acknowledged(1n), acknowledged(2n)]);
    expect(places().slice(3)).toEqual(["a", "b", "c"].map((text) => `${text} ${next.endpoint}`));
    expect(cluster.valuesOf(0)).toEqual(["a", "b", "c"]);
    expect(cluster.identities).toEqual(["7:0"]);
  });

  test("is waited for while nobody else leads, and it is asked again who does, also after a question that failed", async () => {
    const { cluster, outcomes, give } = await setUp(1);
    give("a");
    const before = cluster.described();
    cluster.onDescribe(refused(Reason.UNAVAILABLE));
    await cluster.time.advance(5 * silenceMs);
    expect(cluster.described()).toBe(before + 5);
    expect(outcomes).toEqual([undefined]);
    cluster.lead(0, next);
    await cluster.time.advance(silenceMs + 200);
    expect(outcomes).toEqual([acknowledged(0n)]);
  });

  test.each([
    ["leads again in a newer leader epoch", { endpoint: frozen.endpoint, leaderEpoch: 2 }],
    ["is named otherwise in its leader epoch", { endpoint: "other-name:4641", leaderEpoch: 1 }],
  ])("is waited for where it %s: its own answer is on its way", async (_, { endpoint: leader, leaderEpoch }) => {
    const { cluster, outcomes, give } = await setUp(1);
    give("a");
    await cluster.time.advance(10);
    const hint = refused(Reason.NOT_LEADER, { leader, leaderEpoch });
    cluster.connection.routes.heed({ topic, partition: 0 }, frozen.endpoint, hint);
    await cluster.time.advance(3 * silenceMs);
    expect([outcomes, cluster.seen.length]).toEqual([[undefined], 1]);
  });

  test("leaves a batch without a producer id in doubt: where time is up it ends as unknown", async () => {
    const { cluster, outcomes, give } = await setUp(1, { acks: "leader", deliveryTimeoutMs: silenceMs });
    give("a");
    cluster.lead(0, next);
    await cluster.time.advance(silenceMs);
    expect(outcomes).toMatchObject([
      { kind: "unknown", error: { reason: Reason.NOT_LEADER, outcome: Outcome.UNKNOWN } },
    ]);
  });
});

test("a leader that answers is not asked after, and no timer is left behind", async () => {
  const { cluster, outcomes, give } = await setUp(0);
  const before = cluster.described();
  give("a");
  await cluster.time.advance(100);
  expect(outcomes).toEqual([acknowledged(0n)]);
  expect(cluster.time.pending()).toBe(0);
  await cluster.time.advance(10 * silenceMs);
  expect(cluster.described()).toBe(before);
});
