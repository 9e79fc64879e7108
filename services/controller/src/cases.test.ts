/** Failure cases by their numbers, as far as a controller alone shows them: brokers are played, logs are not there. */
import { eachPartition } from "@tidemark/metadata";
import { ConfigureTopicRequestSchema, DeleteTopicRequestSchema } from "@tidemark/proto/admin/v1";
import { AlterPartitionRequestSchema, MetadataFrame } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it } from "vitest";
import {
  callContext,
  createTopic,
  describeTopic,
  directoryOf,
  incarnationOf,
  joinBroker,
  openWatch,
  type PlayedBroker,
  passTime,
  portOf,
  register,
  request,
  startWithBrokers,
} from "./testing/calls.ts";
import { backends } from "./testing/stores.ts";
import type { Node, World } from "./testing/world.ts";

const context = callContext();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function fail(what: string): never {
  throw new Error(`There is no ${what}`);
}

const partitionOf = async (w: World, node: Node) =>
  (await w.settle(describeTopic(node, "orders"))).partitions[0] ?? fail("partition");

/** Proposes an ISR as the leader of leader epoch `leaderEpoch`; every member with broker epoch 1. */
async function propose(
  w: World,
  node: Node,
  from: PlayedBroker,
  item: {
    readonly topicId: string;
    readonly leaderEpoch: number;
    readonly partitionEpoch: number;
    readonly isr: readonly number[];
  },
) {
  const isr = item.isr.map((brokerId) => ({ brokerId, brokerEpoch: 1 }));
  const { brokerId, brokerEpoch } = from;
  const call = request(AlterPartitionRequestSchema, {
    brokerId,
    brokerEpoch,
    partitions: [{ ...item, partition: 0, isr }],
  });
  return w.settle(node.controller.cluster.alterPartition(call, context));
}

async function die(w: World, node: Node, dead: readonly PlayedBroker[], living: readonly PlayedBroker[]) {
  for (const { brokerId } of dead) w.ports.set(portOf(brokerId), "refused");
  for (const broker of dead) broker.close();
  await passTime(w, 7000, living);
  await w.until(() => node.controller.image.sessions.size === living.length, "the sessions ended");
}

async function comeBack(w: World, node: Node, broker: PlayedBroker, init: Parameters<typeof joinBroker>[3] = {}) {
  w.ports.set(portOf(broker.brokerId), "reached");
  return joinBroker(w, node, broker.brokerId, { incarnationId: incarnationOf(90 + broker.brokerId), ...init });
}

describe.each(backends)("on %s,", (_, create) => {
  async function open(count = 3) {
    const w = await create();
    closing.push(() => w.close());
    const { node, brokers } = await startWithBrokers(w, count);
    return { w, node, brokers };
  }

  /** A topic of one partition with its leader and the others, in the order of assignment. */
  async function withTopic(count = 3) {
    const all = await open(count);
    const { w, node, brokers } = all;
    const { topic } = await w.settle(createTopic(node, "orders", { replicationFactor: count }));
    const replicas = topic?.partitions?.[0]?.replicas ?? [];
    const inOrder = replicas.map((id) => brokers.find((each) => each.brokerId === id) ?? fail(`broker ${id}`));
    return { ...all, topicId: topic?.topicId ?? "", inOrder };
  }

  describe("case 20d: min ISR is lowered and raised while the ISR is small", () => {
    it("leaves nobody eligible who may have missed what was committed in between", async () => {
      const { w, node, topicId, inOrder } = await withTopic();
      const [leader = fail("leader"), second = fail("second")] = inOrder;
      await propose(w, node, leader, { topicId, leaderEpoch: 0, partitionEpoch: 0, isr: [leader.brokerId] });
      expect((await partitionOf(w, node)).elr).toContain(second.brokerId);
      for (const value of ["1", "2"]) {
        const call = request(ConfigureTopicRequestSchema, { topic: "orders", set: { "min.insync.replicas": value } });
        await w.settle(node.controller.admin.configureTopic(call, context));
        expect(await partitionOf(w, node)).toMatchObject({ elr: [], minIsr: Number(value) });
      }
      await die(w, node, [leader], inOrder.slice(1));
      expect((await partitionOf(w, node)).leader).toBeUndefined();
    });
  });

  describe("case 22: a leader cut off from the controller", () => {
    it("is followed by another one, and nothing that it proposes later is applied", async () => {
      const { w, node, topicId, inOrder } = await withTopic();
      const [old = fail("leader"), ...others] = inOrder;
      await passTime(w, 7000, others);
      await w.until(() => node.controller.image.sessions.size === 2, "its session ended");
      const after = await partitionOf(w, node);
      expect(others.map((each) => each.brokerId)).toContain(after.leader);
      const late = { topicId, leaderEpoch: 0, partitionEpoch: 0, isr: [old.brokerId] };
      await expect(propose(w, node, old, late)).rejects.toMatchObject({ reason: Reason.BROKER_NOT_REGISTERED });
      const again = await comeBack(w, node, old);
      const { results } = await propose(w, node, again, late);
      expect(results).toMatchObject([{ error: { reason: Reason.FENCED_LEADER_EPOCH } }]);
      expect(await partitionOf(w, node)).toMatchObject({ leader: after.leader, isr: after.isr });
    });
  });

  describe("case 24: a broker that is back", () => {
    it("before it was missed leads in a new leader epoch or not at all, and keeps its place in the ISR", async () => {
      const { w, node, inOrder } = await withTopic();
      const [leader = fail("leader")] = inOrder;
      await comeBack(w, node, leader);
      const after = await partitionOf(w, node);
      expect(after).toMatchObject({ leaderEpoch: 1 });
      expect(after.leader).not.toBe(leader.brokerId);
      expect(after.isr).toHaveLength(3);
    });

    it("with a replaced disk holds nothing of what was on the old one", async () => {
      const { w, node, inOrder } = await withTopic();
      const [leader = fail("leader"), ...others] = inOrder;
      await die(w, node, [leader], others);
      await comeBack(w, node, leader, { directoryIds: [directoryOf(90)] });
      expect(await partitionOf(w, node)).toMatchObject({ offline: [leader.brokerId] });
      expect((await partitionOf(w, node)).isr).not.toContain(leader.brokerId);
    });
  });

  describe("case 26: a broker with stale metadata", () => {
    it("gets a snapshot and never a gap, whatever it says that it has", async () => {
      const { w, node } = await withTopic();
      for (const init of [{}, { controllerEpoch: 1, afterRevision: 999n }, { controllerEpoch: 9, afterRevision: 1n }]) {
        const watch = openWatch(node, init);
        await w.until(() => watch.frames.length > 0, "the first frame");
        expect(watch.frames[0]?.frame).toBe(MetadataFrame.SNAPSHOT_END);
        expect(watch.frames[0]?.changes?.map((change) => change.key)).toContain("/topics/orders");
        watch.stop();
      }
    });
  });

  describe("case 27: a topic deleted while a broker is down, and made again with the same name", () => {
    it("shares nothing with the old one; the deletion waits for that broker", async () => {
      const { w, node, topicId, inOrder } = await withTopic();
      const [, second = fail("second"), third = fail("third")] = inOrder;
      const [first = fail("first")] = inOrder;
      await die(w, node, [third], [first, second]);
      await w.settle(
        node.controller.admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: "orders" }), context),
      );
      const { topic } = await w.settle(createTopic(node, "orders"));
      expect(topic?.topicId).not.toBe(topicId);
      for (const broker of [first, second]) {
        const before = broker.answers.length;
        broker.beat({ confirmedDeletions: [topicId] });
        await w.until(() => broker.answers.length > before, "an answer");
      }
      const awaited = () =>
        node.controller.image.deletedTopics.buckets.flatMap((bucket) =>
          [...bucket.values()].flatMap((note) => note.awaited),
        );
      expect(awaited()).toEqual([third.brokerId]);
      const back = await comeBack(w, node, third);
      back.beat({ confirmedDeletions: [topicId] });
      await w.until(() => awaited().length === 0, "the last one confirmed");
      expect((await partitionOf(w, node)).replicas).not.toContain(third.brokerId);
    });
  });

  describe("case 27b: a store restored from before a topic existed", () => {
    it("is not gone on with: a broker of the cluster has seen a newer controller epoch", async () => {
      const { w, node } = await open();
      const [clusterId = ""] = node.clusters;
      const again = register(node, 1, { clusterId, controllerEpoch: 7 });
      await expect(w.settle(again)).rejects.toMatchObject({ reason: Reason.METADATA_REGRESSED });
      await expect(w.settle(createTopic(node, "orders"))).rejects.toMatchObject({ reason: Reason.METADATA_REGRESSED });
      expect(node.controller.image.sessions.size).toBe(3);
    });
  });

  describe("case 27f: a disk not mounted at boot, mounted at the next", () => {
    it("was not lost: its replica is eligible again, and leads where nobody else can", async () => {
      const { w, node, topicId, inOrder } = await withTopic();
      const [leader = fail("leader"), ...others] = inOrder;
      await propose(w, node, leader, {
        topicId,
        leaderEpoch: 0,
        partitionEpoch: 0,
        isr: [leader.brokerId, others[0]?.brokerId ?? 0],
      });
      await die(w, node, [others[0] ?? fail("second"), leader], [others[1] ?? fail("third")]);
      const without = await comeBack(w, node, leader, { directoryIds: [directoryOf(90)] });
      expect((await partitionOf(w, node)).leader).toBeUndefined();
      expect((await partitionOf(w, node)).elr).toContain(leader.brokerId);
      await die(w, node, [without], [others[1] ?? fail("third")]);
      await comeBack(w, node, leader);
      expect(await partitionOf(w, node)).toMatchObject({ leader: leader.brokerId, isr: [leader.brokerId] });
    });
  });

  describe("case 27h: three brokers are lost", () => {
    it("together: none of them is a candidate, and each that comes back first leads", async () => {
      const { w, node, inOrder } = await withTopic();
      await die(w, node, inOrder, []);
      const gone = await partitionOf(w, node);
      expect(gone.leader).toBeUndefined();
      expect(gone).toMatchObject({ isr: [], leaderEpoch: 1, partitionEpoch: 1 });
      expect(gone.elr).toHaveLength(3);
      const last = inOrder.at(-1) ?? fail("third");
      await comeBack(w, node, last);
      expect(await partitionOf(w, node)).toMatchObject({ leader: last.brokerId, isr: [last.brokerId], leaderEpoch: 2 });
    });

    it("one by one: only those that may hold everything lead", async () => {
      const { w, node, inOrder } = await withTopic();
      for (let count = 1; count <= 3; count++) {
        await die(w, node, [inOrder[count - 1] ?? fail("broker")], inOrder.slice(count));
      }
      const [first = fail("first"), second = fail("second"), third = fail("third")] = inOrder;
      expect((await partitionOf(w, node)).elr).toEqual([second.brokerId, third.brokerId]);
      await comeBack(w, node, first);
      expect((await partitionOf(w, node)).leader).toBeUndefined();
      await comeBack(w, node, second);
      expect(await partitionOf(w, node)).toMatchObject({ leader: second.brokerId, isr: [second.brokerId] });
      for (const { partition } of eachPartition(node.controller.image)) expect(partition.recovering).toBe(false);
    });
  });
});
