/** What people follow: WatchEvents live, DescribeElections afterwards. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { brokerEpoch, brokerId, leaderEpoch, partitionIndex, revision, topicId } from "@tidemark/ids";
import type { ElectionEvent } from "@tidemark/metadata";
import {
  DescribeElectionsRequestSchema,
  ElectionCause,
  ElectionRule,
  SessionChangeKind,
  WatchEventsRequestSchema,
  type WatchEventsResponseSchema,
} from "@tidemark/proto/admin/v1";
import { AlterPartitionRequestSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it } from "vitest";
import { createEventLog } from "./events/event-log.ts";
import {
  callContext,
  createTopic,
  joinBroker,
  type PlayedBroker,
  passTime,
  portOf,
  request,
  startWithBrokers,
} from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const context = callContext();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open() {
  const w = await createWorld();
  closing.push(() => w.close());
  const { node, brokers } = await startWithBrokers(w, 3);
  return { w, node, brokers };
}

/** Members of a set of replicas: their order is that of the assignment. */
const inAnyOrder = (...ids: readonly number[]) =>
  expect.toSatisfy(
    (given: readonly number[]) => given.length === ids.length && ids.every((id) => given.includes(id)),
  ) as number[];

type Told = MessageInitShape<typeof WatchEventsResponseSchema>["event"];

/** A watcher that reads as fast as it comes. */
function follow(at: Node, topic = "") {
  const told: Told[] = [];
  let failure: unknown;
  const abort = new AbortController();
  const read = async () => {
    const call = request(WatchEventsRequestSchema, { topic });
    for await (const { event } of at.controller.admin.watchEvents(call, callContext(abort.signal))) told.push(event);
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  return {
    told,
    of: <Case extends string>(kind: Case) => told.filter((event) => event?.case === kind).map((event) => event?.value),
    failure: () => failure,
    stop: () => abort.abort(new Error("stopped")),
  };
}

async function kill(w: World, node: Node, broker: PlayedBroker | undefined, others: readonly PlayedBroker[]) {
  if (broker === undefined) throw new Error("No such broker");
  w.ports.set(portOf(broker.brokerId), "refused");
  broker.close();
  await passTime(w, 500, others);
  await w.until(() => node.controller.image.sessions.size === 2, "the session ended");
}

describe("whoever watches events", () => {
  it("is told of sessions, elections and ISR changes as they are committed", async () => {
    const { w, node, brokers } = await open();
    const watch = follow(node);
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    await kill(w, node, brokers[0], brokers.slice(1));
    await w.until(() => watch.of("isrChange").length === 3, "every partition's change");
    expect(watch.of("session")).toMatchObject([
      { brokerId: 1, brokerEpoch: 1, kind: SessionChangeKind.ENDED, cause: ElectionCause.CONNECTION_LOST },
    ]);
    // One partition for each leader: three made, one led by the broker that is gone.
    expect(watch.of("election").slice(3)).toMatchObject([
      { topic: "orders", oldLeader: 1, cause: ElectionCause.CONNECTION_LOST, rule: ElectionRule.ISR, leaderEpoch: 1 },
    ]);
    for (const change of watch.of("isrChange"))
      expect(change).toMatchObject({ after: inAnyOrder(2, 3), partitionEpoch: 1 });
    await joinBroker(w, node, 1);
    await w.until(() => watch.of("session").length === 2, "the return");
    expect(watch.of("session")[1]).toMatchObject({ brokerEpoch: 2, kind: SessionChangeKind.REGISTERED });
    watch.stop();
  });

  it("of one topic is told of nothing else", async () => {
    const { w, node, brokers } = await open();
    const watch = follow(node, "orders");
    await w.settle(createTopic(node, "letters", { partitions: 3 }));
    await w.settle(createTopic(node, "orders"));
    await kill(w, node, brokers[0], brokers.slice(1));
    await w.until(() => watch.of("isrChange").length === 1, "the change");
    for (const event of watch.told) expect(event?.value).toMatchObject({ topic: "orders" });
    watch.stop();
  });

  it("is told of the ISR that a leader proposed, with those that stay eligible", async () => {
    const { w, node } = await open();
    const { topic } = await w.settle(createTopic(node, "orders"));
    const leader = topic?.partitions?.[0]?.leader ?? 0;
    const watch = follow(node);
    const isr = [{ brokerId: leader, brokerEpoch: 1 }];
    const item = { topicId: topic?.topicId ?? "", partition: 0, leaderEpoch: 0, partitionEpoch: 0, isr };
    const call = request(AlterPartitionRequestSchema, { brokerId: leader, brokerEpoch: 1, partitions: [item] });
    await w.settle(node.controller.cluster.alterPartition(call, context));
    await w.until(() => watch.told.length === 1, "the change");
    const elr = inAnyOrder(...[1, 2, 3].filter((id) => id !== leader));
    expect(watch.of("isrChange")).toMatchObject([
      { before: inAnyOrder(1, 2, 3), after: [leader], elr, partitionEpoch: 1 },
    ]);
    watch.stop();
  });

  it("is sent to the next controller when this one is not the active one any more", async () => {
    const { w, node } = await open();
    const second = await w.start(2);
    const watch = follow(node);
    await w.until(() => second.controller.image.sessions.size === 3, "the standby follows");
    await w.settle(node.controller.stop());
    await w.until(() => watch.failure() !== undefined, "the stream ends");
    expect(watch.failure()).toMatchObject({ reason: Reason.NOT_CONTROLLER });
  });
});

describe("past elections", () => {
  it("are told with cause and rule, the newest first, as many as are asked for", async () => {
    const { w, node, brokers } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    await kill(w, node, brokers[0], brokers.slice(1));
    const ask = async (limit: number) => {
      const call = request(DescribeElectionsRequestSchema, { limit });
      return (await w.settle(node.controller.admin.describeElections(call, context))).elections ?? [];
    };
    expect(await ask(0)).toHaveLength(4);
    expect(await ask(2)).toHaveLength(2);
    const [last, before] = await ask(0);
    expect(last).toMatchObject({ cause: ElectionCause.CONNECTION_LOST, rule: ElectionRule.ISR, oldLeader: 1 });
    expect(before).toMatchObject({ cause: ElectionCause.TOPIC_CREATED, rule: ElectionRule.CREATED });
  });
});

describe("the log of events", () => {
  const election = (epoch: number): ElectionEvent => ({
    kind: "elected",
    topicId: topicId("aaaaaaaa-0000-4000-8000-000000000001"),
    topic: "orders",
    partition: partitionIndex(0),
    cause: "preferred",
    rule: "preferred",
    oldLeader: undefined,
    newLeader: brokerId(1),
    leaderEpoch: leaderEpoch(epoch),
    isr: [],
    elr: [],
  });
  const all = () => true;

  it("keeps the last elections and no more than its bound", () => {
    const log = createEventLog({ electionsMax: 3, queuedMax: 10 });
    for (const epoch of [1, 2, 3, 4, 5]) log.add(revision(1n), 0, [election(epoch)]);
    expect(log.elections(all, 10).map(({ event }) => event.leaderEpoch)).toEqual([5, 4, 3]);
  });

  it("never leaves an event out in silence: who reads too slowly is told so", async () => {
    const log = createEventLog({ electionsMax: 3, queuedMax: 2 });
    const reader = log.watch(new AbortController().signal)[Symbol.asyncIterator]();
    const first = reader.next();
    log.add(revision(1n), 0, [election(1), election(2), election(3)]);
    expect((await first).value).toMatchObject({ event: { leaderEpoch: 1 } });
    expect((await reader.next()).value).toMatchObject({ event: { leaderEpoch: 2 } });
    await expect(reader.next()).rejects.toMatchObject({ reason: Reason.RESOURCE_EXHAUSTED });
  });

  it("passes over what nobody watches", async () => {
    const log = createEventLog({ electionsMax: 3, queuedMax: 2 });
    const abort = new AbortController();
    const reader = log.watch(abort.signal)[Symbol.asyncIterator]();
    const next = reader.next();
    log.add(revision(1n), 0, [{ kind: "clusterCreated", clusterId: "c" }]);
    log.add(revision(2n), 0, [{ kind: "brokerRegistered", brokerId: brokerId(1), brokerEpoch: brokerEpoch(1) }]);
    expect((await next).value).toMatchObject({ revision: 2n });
    abort.abort();
    expect((await reader.next()).done).toBe(true);
  });
});
