/** Leaderships that are moved on purpose: controlled shutdown (D5) and preferred leaders (D4). */
import { ElectionType, ElectLeadersRequestSchema } from "@tidemark/proto/admin/v1";
import { AlterPartitionRequestSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it } from "vitest";
import type { ControllerSettings } from "./settings.ts";
import {
  callContext,
  createTopic,
  describeTopic,
  openHeartbeat,
  type PlayedBroker,
  passTime,
  portOf,
  register,
  request,
  startWithBrokers,
} from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const context = callContext();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(settings: Partial<ControllerSettings> = {}, count = 3) {
  const w = await createWorld();
  closing.push(() => w.close());
  const { node, brokers } = await startWithBrokers(w, count, { settings });
  return { w, node, brokers };
}

const leadersOf = async (w: World, node: Node) =>
  (await w.settle(describeTopic(node, "orders"))).partitions.map((each) => each.leader);
const batchesOf = (node: Node, command: string) =>
  node.events.filter((event) => event.kind === "batchCommitted" && event.command === command);

describe("a broker that wants to stop", () => {
  it("is told so once its leaderships are moved, leaderships first and in batches", async () => {
    const { w, node, brokers } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 240 }));
    const [leaver] = brokers;
    leaver?.beat({ wantsShutdown: true });
    await w.until(() => leaver?.answers.at(-1)?.mayShutDown === true, "it may stop");
    expect(batchesOf(node, "begin shutdown")).toHaveLength(3);
    for (const { leader, isr } of (await w.settle(describeTopic(node, "orders"))).partitions) {
      expect([2, 3]).toContain(leader);
      expect(isr).not.toContain(1);
    }
  });

  it("waits while it alone is in sync and another may catch up, and goes on to serve", async () => {
    const { w, node, brokers } = await open({}, 2);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const [partition] = topic?.partitions ?? [];
    const found = brokers.find((each) => each.brokerId === partition?.leader);
    const other = brokers.find((each) => each !== found);
    if (found === undefined || other === undefined) throw new Error("No leader");
    let leader: PlayedBroker = found;
    const propose = async (partitionEpoch: number, ...members: readonly number[]) => {
      const isr = members.map((brokerId) => ({ brokerId, brokerEpoch: 1 }));
      const item = { topicId: topic?.topicId ?? "", partition: 0, leaderEpoch: 0, partitionEpoch, isr };
      const call = request(AlterPartitionRequestSchema, { ...session, partitions: [item] });
      return w.settle(node.controller.cluster.alterPartition(call, context));
    };
    const session = { brokerId: leader.brokerId, brokerEpoch: leader.brokerEpoch };
    await propose(0, leader.brokerId);

    leader.beat({ wantsShutdown: true });
    await w.until(() => leader.answers.length === 2, "an answer");
    expect(leader.answers.at(-1)).toMatchObject({ mayShutDown: false });
    // It was not released: a lost connection is no stop.
    w.ports.set(portOf(leader.brokerId), "unreachable");
    leader.close();
    await passTime(w, 1000, [other]);
    expect(node.controller.image.sessions.size).toBe(2);
    leader = Object.assign(openHeartbeat(node, session), session);
    leader.beat({ wantsShutdown: true });
    await w.until(() => leader.answers.length === 1, "an answer");
    expect(await leadersOf(w, node)).toEqual([leader.brokerId]);

    expect((await propose(1, leader.brokerId, other.brokerId)).results).toMatchObject([
      { state: { partitionEpoch: 2 } },
    ]);
    leader.beat({ wantsShutdown: true });
    await w.until(() => leader.answers.length === 2, "an answer");
    expect(leader.answers.at(-1)).toMatchObject({ mayShutDown: true });
    expect(await leadersOf(w, node)).toEqual([other.brokerId]);
  });
});

describe("preferred leaders", () => {
  const displaced = async (settings: Partial<ControllerSettings> = {}) => {
    const all = await open(settings);
    const { w, node } = all;
    await w.settle(createTopic(node, "orders", { partitions: 6 }));
    const before = await leadersOf(w, node);
    // What broker 1 led is led elsewhere after it registered again.
    await w.settle(register(node, 1));
    expect(await leadersOf(w, node)).not.toContain(1);
    return { ...all, before };
  };

  it("are moved back by themselves when too many lead elsewhere, and not before it is looked", async () => {
    const rebalance = { intervalMs: 2000, imbalancePercentageMax: 10 };
    const { w, node, before, brokers } = await displaced({ rebalance });
    await passTime(w, 1500, brokers.slice(1));
    expect(await leadersOf(w, node)).not.toContain(1);
    await passTime(w, 1000, brokers.slice(1));
    await w.until(() => batchesOf(node, "rebalance leaders").length === 1, "moved back");
    expect(await leadersOf(w, node)).toEqual(before);
    await passTime(w, 2500, brokers.slice(1));
    expect(batchesOf(node, "rebalance leaders")).toHaveLength(1);
  });

  it("stay where they are within the share that is allowed, or where nobody asked for it", async () => {
    const rebalance = { intervalMs: 2000, imbalancePercentageMax: 100 };
    for (const settings of [{ rebalance }, {}]) {
      const { w, node, brokers } = await displaced(settings);
      await passTime(w, 5000, brokers);
      expect(await leadersOf(w, node)).not.toContain(1);
    }
  });

  it("are elected on command: of a topic, of partitions, of everything", async () => {
    const { w, node, before } = await displaced();
    const elect = async (topic: string, partitions: number[] = []) => {
      const call = request(ElectLeadersRequestSchema, { topic, partitions, type: ElectionType.PREFERRED });
      return (await w.settle(node.controller.admin.electLeaders(call, context))).results;
    };
    const led = before.flatMap((leader, index) => (leader === 1 ? [index] : []));
    const [one = 0] = led;
    expect(await elect("orders", [one])).toMatchObject([{ partition: one, leader: 1, leaderEpoch: 2 }]);
    expect(await elect("orders", [one])).toMatchObject([{ error: { reason: Reason.ELECTION_NOT_NEEDED } }]);
    expect(await elect("")).toHaveLength(led.length - 1);
    expect(await leadersOf(w, node)).toEqual(before);
    await expect(elect("none")).rejects.toMatchObject({ reason: Reason.UNKNOWN_TOPIC });
  });
});
