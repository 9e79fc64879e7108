/** Unclean elections (D2, D3) with brokers that are played: when they happen, who is asked, what is told of them. */
import { brokerEpoch, leaderEpoch, offset } from "@tidemark/ids";
import {
  DescribeClusterRequestSchema,
  DescribeElectionsRequestSchema,
  DescribeReceiptsRequestSchema,
  ElectionCause,
  ElectionType,
  ElectLeadersRequestSchema,
} from "@tidemark/proto/admin/v1";
import { AlterPartitionRequestSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ControllerEvent } from "./events/controller-events.ts";
import type { ControllerSettings } from "./settings.ts";
import {
  callContext,
  createTopic,
  describeTopic,
  joinBroker,
  openHeartbeat,
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

const log = (lastLeaderEpoch: number, logEnd: number) => ({
  lastLeaderEpoch,
  logEnd: offset(BigInt(logEnd)),
  logStart: offset(0n),
});
const allowed = { settings: { "unclean.leader.election.enable": "true" } };

/** A topic of one partition, whose leader stands alone in the ISR. */
async function open(options: {
  readonly settings?: Record<string, string>;
  readonly own?: Partial<ControllerSettings>;
}) {
  const w = await createWorld();
  closing.push(() => w.close());
  const { node, brokers } = await startWithBrokers(w, 3, { settings: options.own ?? {} });
  const { topic } = await w.settle(createTopic(node, "orders", { settings: options.settings ?? {} }));
  const topicId = topic?.topicId ?? "";
  const leader = topic?.partitions?.[0]?.leader ?? 0;
  const isr = [{ brokerId: leader, brokerEpoch: 1 }];
  const item = (partitionEpoch: number) => ({ topicId, partition: 0, leaderEpoch: 0, partitionEpoch, isr });
  const propose = async (partitionEpoch: number, members: readonly number[]) => {
    const changed = { ...item(partitionEpoch), isr: members.map((brokerId) => ({ brokerId, brokerEpoch: 1 })) };
    const call = request(AlterPartitionRequestSchema, { brokerId: leader, brokerEpoch: 1, partitions: [changed] });
    await w.settle(node.controller.cluster.alterPartition(call, context));
  };
  // Out of the ISR while it was large enough: the other two are not eligible.
  await propose(0, [leader, ...[1, 2, 3].filter((id) => id !== leader).slice(0, 1)]);
  await propose(1, [leader]);
  const partition = async () => (await w.settle(describeTopic(node, "orders"))).partitions[0];
  const [first] = brokers.filter((each) => each.brokerId === leader);
  if (first === undefined) throw new Error("No leader");
  return { w, node, leader: first, others: brokers.filter((each) => each !== first), topicId, partition };
}

/** All who could be elected cleanly are gone: the leader, and the one that R13 kept. */
async function loseEligible(w: World, node: Node, brokers: readonly PlayedBroker[], others: readonly PlayedBroker[]) {
  for (const { brokerId } of brokers) w.ports.set(portOf(brokerId), "refused");
  for (const [index, broker] of brokers.entries()) {
    broker.close();
    if (index === 0) await passTime(w, 1000, others);
  }
  await passTime(w, 500, others);
  await w.until(() => node.controller.image.sessions.size === 3 - brokers.length, "the sessions ended");
}

async function electUncleanly(node: Node, topic: string, partitions: number[] = []) {
  const call = request(ElectLeadersRequestSchema, { topic, partitions, type: ElectionType.UNCLEAN });
  return (await node.controller.admin.electLeaders(call, context)).results;
}

const isDamage = (event: ControllerEvent) =>
  event.kind === "decided" && event.events.some(({ kind }) => kind === "replicasDamaged");

const elect = (w: World, node: Node, topic: string, partitions: number[] = []) =>
  w.settle(electUncleanly(node, topic, partitions));

/** The one that R13 keeps beside the leader, and the one that is not eligible. */
function rolesOf(elr: readonly number[], others: readonly PlayedBroker[]) {
  const eligible = others.find((each) => elr.includes(each.brokerId));
  const outsider = others.find((each) => each !== eligible);
  if (eligible === undefined || outsider === undefined) throw new Error("No roles");
  return { eligible, outsider };
}

async function withoutEligible(options: Parameters<typeof open>[0]) {
  const all = await open(options);
  const { w, node, leader, others, partition } = all;
  const { eligible, outsider } = rolesOf((await partition())?.elr ?? [], others);
  await loseEligible(w, node, [eligible, leader], [outsider, leader]);
  return { ...all, eligible, outsider };
}

describe("a partition whose replicas have seen later leader epochs than the metadata (34g)", () => {
  it("is decided anew on command though it has a leader, where its topic is named", async () => {
    const { w, node, leader, others, partition } = await open({});
    for (const { brokerId } of [leader, ...others]) w.logs.set(brokerId, log(0, 90));
    expect(await elect(w, node, "orders")).toEqual([]);
    const [longest] = others;
    const later = { ...log(9, 95), regressedFrom: leaderEpoch(9) };
    w.logs.set(longest?.brokerId ?? 0, later);
    expect(await elect(w, node, "")).toEqual([]);
    expect((await partition())?.leader).toBe(leader.brokerId);
    expect(await elect(w, node, "orders")).toMatchObject([{ leader: longest?.brokerId, leaderEpoch: 10 }]);
    expect(await partition()).toMatchObject({ leader: longest?.brokerId, isr: [longest?.brokerId], leaderEpoch: 10 });
  });
});

describe("a partition whose brokers say that they have seen more than restored metadata know (34g)", () => {
  const regressedReplicas = (topicId: string) => [{ topicId, partition: 0, leaderEpoch: 9 }];

  /** Broker 2 says so with its heartbeat; the partition has a leader by then. */
  async function marked() {
    const all = await open(allowed);
    const { w, others, topicId, partition } = all;
    expect((await partition())?.regressedFrom).toBeUndefined();
    others[0]?.beat({ regressedReplicas: regressedReplicas(topicId) });
    const isMarked = async () => (await partition())?.regressedFrom === 9;
    for (let turn = 0; turn < 100 && !(await isMarked()); turn++) await w.time.advance(1);
    return all;
  }

  it("has no leader from then on, and says so in descriptions, health and elections", async () => {
    const { w, node, leader, partition } = await marked();
    expect(await partition()).toMatchObject({ isr: [], leaderEpoch: 1, regressedFrom: 9 });
    expect((await partition())?.leader).toBeUndefined();
    const cluster = await w.settle(
      node.controller.admin.describeCluster(request(DescribeClusterRequestSchema), context),
    );
    expect(cluster).toMatchObject({ offlinePartitions: 1, regressedPartitions: 1 });
    const query = request(DescribeElectionsRequestSchema, { topic: "orders", limit: 1 });
    const { elections } = await w.settle(node.controller.admin.describeElections(query, context));
    expect(elections).toMatchObject([{ cause: ElectionCause.METADATA_REGRESSED, oldLeader: leader.brokerId }]);
  });

  it("is led by nobody, whichever brokers restart, however long, and by whatever controller", async () => {
    const { w, node, leader, others, topicId, partition } = await marked();
    for (const broker of [leader, ...others]) w.logs.set(broker.brokerId, log(0, 90));
    for (const { brokerId: id } of [leader, ...others, leader]) await joinBroker(w, node, id);
    expect(await partition()).toMatchObject({ isr: [], regressedFrom: 9 });
    w.kill(node);
    const next = await w.start(2);
    await w.until(() => next.controller.isActive, "another controller");
    const brokers = [];
    for (const id of [1, 2, 3])
      brokers.push(await joinBroker(w, next, id, { regressedReplicas: regressedReplicas(topicId) }));
    await passTime(w, 10_000, brokers);
    const asked = vi.spyOn(w.logs, "get");
    // Nobody eligible is left, and the topic allows unclean elections.
    const elr = (await w.settle(describeTopic(next, "orders"))).partitions[0]?.elr ?? [];
    await passTime(
      w,
      20_000,
      brokers.filter(({ brokerId }) => !elr.includes(brokerId)),
    );
    expect(asked).not.toHaveBeenCalled();
    const [state] = (await w.settle(describeTopic(next, "orders"))).partitions;
    expect(state).toMatchObject({ isr: [], regressedFrom: 9 });
    expect(state?.leader).toBeUndefined();
  });

  it("is decided by a command that names its topic, above all that was seen, and is an ordinary one then", async () => {
    const { w, node, leader, others, topicId, partition } = await marked();
    for (const { brokerId: id } of [leader, ...others]) w.logs.set(id, log(0, 80));
    expect(await elect(w, node, "")).toMatchObject([{ error: { reason: Reason.METADATA_REGRESSED } }]);
    w.logs.set(others[0]?.brokerId ?? 0, log(9, 95));
    expect(await elect(w, node, "orders")).toMatchObject([{ leader: others[0]?.brokerId, leaderEpoch: 10 }]);
    expect((await partition())?.regressedFrom).toBeUndefined();
    // What it said before is said no more: the leader epoch is above it.
    others[0]?.beat({ regressedReplicas: regressedReplicas(topicId) });
    await passTime(w, 500, [leader, ...others]);
    expect(await partition()).toMatchObject({ leader: others[0]?.brokerId, leaderEpoch: 10 });
  });

  it("is marked by a registration before that makes anybody the leader", async () => {
    const { w, node, leader, others, topicId, partition } = await open({});
    const [second] = others;
    await joinBroker(w, node, second?.brokerId ?? 0, { regressedReplicas: regressedReplicas(topicId) });
    await joinBroker(w, node, leader.brokerId);
    expect(await partition()).toMatchObject({ isr: [], regressedFrom: 9 });
  });
});

describe("a partition of whose replicas a broker says what no cluster can have seen", () => {
  it.each([
    ["leader epoch", { leaderEpoch: 2 ** 31 - 2 }],
    ["partition epoch", { leaderEpoch: 0, partitionEpoch: 2 ** 31 - 1 }],
  ])("goes on without that replica, whatever its %s is, and brokers come and go", async (_, epochs) => {
    const { w, node, leader, others, topicId, partition } = await open({});
    const regressedReplicas = [{ topicId, partition: 0, ...epochs }];
    const [second, third] = others;
    second?.beat({ regressedReplicas });
    await w.until(() => node.events.some(isDamage), "the damage is noted");
    await joinBroker(w, node, third?.brokerId ?? 0, { regressedReplicas });
    const state = await partition();
    expect(state).toMatchObject({ leader: leader.brokerId, isr: [leader.brokerId], leaderEpoch: 0 });
    expect(state?.regressedFrom).toBeUndefined();
    expect(state?.damaged.toSorted()).toEqual(others.map(({ brokerId }) => brokerId).toSorted());
    await joinBroker(w, node, leader.brokerId);
    expect(await partition()).toMatchObject({ leader: leader.brokerId, leaderEpoch: 1 });
  });

  it("is decided by the others, where such a replica answers how far it goes", async () => {
    const { w, node, leader, others, partition } = await open({});
    const [second, third] = others;
    w.logs.set(leader.brokerId, log(0, 80));
    w.logs.set(second?.brokerId ?? 0, { ...log(2 ** 31 - 2, 99), regressedFrom: leaderEpoch(2 ** 31 - 2) });
    w.logs.set(third?.brokerId ?? 0, { ...log(9, 70), regressedFrom: leaderEpoch(9) });
    expect(await elect(w, node, "orders")).toMatchObject([{ leader: third?.brokerId, leaderEpoch: 10 }]);
    expect(await partition()).toMatchObject({ leader: third?.brokerId, leaderEpoch: 10 });
  });
});

describe("a partition whose eligible replicas are all gone", () => {
  it("stays without a leader where nobody allowed anything (P5)", async () => {
    const { w, partition, outsider } = await withoutEligible({});
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 20_000, [outsider]);
    expect((await partition())?.leader).toBeUndefined();
    expect((await partition())?.isr).toEqual([]);
  });

  it("is led by another after a full session timeout where its topic allows it, never after the grace alone", async () => {
    const { w, partition, outsider, node } = await withoutEligible(allowed);
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 4500, [outsider]);
    expect((await partition())?.leader).toBeUndefined();
    await passTime(w, 2500, [outsider]);
    await w.until(
      () => node.events.some((e) => e.kind === "decided" && e.command === "elect unclean leaders"),
      "elected",
    );
    expect(await partition()).toMatchObject({
      leader: outsider.brokerId,
      isr: [outsider.brokerId],
      elr: [],
      recovering: true,
      leaderEpoch: 2,
    });
  });

  it("is not, where the topic forbids what the cluster allows", async () => {
    const settings = { "unclean.leader.election.enable": "false" };
    const { w, partition, outsider } = await withoutEligible({ settings, own: { uncleanElection: true } });
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 10_000, [outsider]);
    expect((await partition())?.leader).toBeUndefined();
  });

  it("waits for an eligible one that is about to stop: it may lead when it is back", async () => {
    const { w, node, leader, others, partition } = await open(allowed);
    const { eligible, outsider } = rolesOf((await partition())?.elr ?? [], others);
    eligible.beat({ wantsShutdown: true });
    await w.until(() => eligible.answers.at(-1)?.mayShutDown === true, "it may stop");
    w.logs.set(outsider.brokerId, log(0, 90));
    await loseEligible(w, node, [leader], [eligible, outsider]);
    await passTime(w, 10_000, [eligible, outsider]);
    expect((await partition())?.leader).toBeUndefined();
    eligible.close();
    await passTime(w, 7000, [outsider]);
    expect((await partition())?.leader).toBe(outsider.brokerId);
  });

  it("is led cleanly when an eligible one comes back first", async () => {
    const { w, node, partition, outsider, eligible } = await withoutEligible(allowed);
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 3000, [outsider]);
    w.ports.set(portOf(eligible.brokerId), "reached");
    const back = await joinBroker(w, node, eligible.brokerId);
    await passTime(w, 10_000, [outsider, back]);
    expect(await partition()).toMatchObject({ leader: eligible.brokerId, recovering: false });
  });

  it("waits anew for a full timeout under a new controller (case 23)", async () => {
    const { w, node, outsider } = await withoutEligible(allowed);
    w.logs.set(outsider.brokerId, log(0, 90));
    const second = await w.start(2);
    await passTime(w, 3000, [outsider]);
    w.kill(node);
    await w.until(() => second.controller.isActive, "the standby takes over");
    const again = openHeartbeat(second, outsider);
    await passTime(w, 5500, [again]);
    expect((await w.settle(describeTopic(second, "orders"))).partitions[0]?.leader).toBeUndefined();
    await passTime(w, 1500, [again]);
    await w.until(
      () => second.events.some((e) => e.kind === "decided" && e.command === "elect unclean leaders"),
      "elected",
    );
  });

  it("waits anew when this process stalled: nobody was observed meanwhile", async () => {
    const { w, node, partition, outsider } = await withoutEligible(allowed);
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 2000, [outsider]);
    node.stallFor(10_000);
    await passTime(w, 5000, [outsider]);
    expect(node.events.some((event) => event.kind === "stalled")).toBe(true);
    expect((await partition())?.leader).toBeUndefined();
    await passTime(w, 2500, [outsider]);
    expect((await partition())?.leader).toBe(outsider.brokerId);
  });

  it("is asked for again and again while no one answers, and nothing is decided", async () => {
    const { w, node, partition, outsider } = await withoutEligible(allowed);
    w.logs.set(outsider.brokerId, "silent");
    await passTime(w, 12_000, [outsider]);
    expect((await partition())?.leader).toBeUndefined();
    expect(node.events.filter((event) => event.kind === "commandFailed")).toEqual([]);
    w.logs.set(outsider.brokerId, log(0, 90));
    await passTime(w, 3000, [outsider]);
    expect((await partition())?.leader).toBe(outsider.brokerId);
  });
});

describe("an unclean election on command", () => {
  it("of a named topic happens at once, whatever the settings say", async () => {
    const { w, node, outsider } = await withoutEligible({});
    w.logs.set(outsider.brokerId, log(0, 90));
    expect(await elect(w, node, "orders")).toMatchObject([{ leader: outsider.brokerId, leaderEpoch: 2 }]);
    expect(await elect(w, node, "orders")).toEqual([]);
    expect(await elect(w, node, "orders", [0, 7])).toMatchObject([
      { error: { reason: Reason.ELECTION_NOT_NEEDED } },
      { error: { reason: Reason.UNKNOWN_PARTITION } },
    ]);
  });

  it("of all topics touches only those that allow it", async () => {
    const { w, node, outsider } = await withoutEligible({});
    w.logs.set(outsider.brokerId, log(0, 90));
    expect(await elect(w, node, "")).toMatchObject([{ error: { reason: Reason.UNCLEAN_ELECTION_NOT_ALLOWED } }]);
  });

  it.each([
    ["cannot be reached", undefined],
    ["does not answer", "silent"],
    ["answers as another incarnation", { ...log(0, 90), brokerEpoch: brokerEpoch(7) }],
  ] as const)("finds nobody where the only live replica %s", async (_, answer) => {
    const { w, node, outsider } = await withoutEligible({});
    if (answer !== undefined) w.logs.set(outsider.brokerId, answer);
    const result = electUncleanly(node, "orders");
    await w.until(() => true, "the call is on its way");
    await passTime(w, 1500, [outsider]);
    expect(await w.settle(result)).toMatchObject([{ error: { reason: Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE } }]);
  });
});

describe("a receipt", () => {
  it("is told, awaits each replica, and is complete when all have said what they cut", async () => {
    const { w, node, outsider, eligible, leader, topicId } = await withoutEligible({});
    w.logs.set(outsider.brokerId, log(0, 90));
    await elect(w, node, "orders");
    const receipts = async (openOnly: boolean) => {
      const call = request(DescribeReceiptsRequestSchema, { topic: "orders", openOnly });
      return (await w.settle(node.controller.admin.describeReceipts(call, context))).receipts;
    };
    expect(await receipts(true)).toMatchObject([
      {
        topic: "orders",
        leader: outsider.brokerId,
        commanded: true,
        positions: [{ brokerId: outsider.brokerId, logEnd: 90n }],
        awaited: expect.arrayContaining([eligible.brokerId, leader.brokerId]) as number[],
      },
    ]);
    const truncation = { topicId, partition: 0, leaderEpoch: 2, firstOffset: 90n, logEnd: 100n };
    for (const gone of [eligible, leader]) {
      w.ports.set(portOf(gone.brokerId), "reached");
      const back = await joinBroker(w, node, gone.brokerId);
      back.beat({ truncations: [truncation] });
      await w.until(() => back.answers.length === 2, "the report is taken");
      back.beat({ truncations: [truncation] });
      await w.until(() => back.answers.length === 3, "its repeat is answered");
    }
    expect(await receipts(true)).toEqual([]);
    const [complete] = (await receipts(false)) ?? [];
    expect(complete?.cuts).toHaveLength(2);
    expect(complete?.cuts).toContainEqual(expect.objectContaining({ firstOffset: 90n, logEnd: 100n }));
  });
});
