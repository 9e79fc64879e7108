import { applyChanges, emptyImage, type MetadataChange, type Partition } from "@tidemark/metadata";
import type { PartitionView } from "@tidemark/replication";
import { expect, test } from "vitest";
import { createReplicaWatch } from "./replica-watch.ts";
import { createViolations } from "./violations.ts";

const topicId = "00000000-0000-4000-8000-000000000001" as Partition["topicId"];
const replica = { topicId, partition: 0 as Partition["partition"] };

/** Two in-sync replicas, at a partition epoch. */
function partitionAt(partitionEpoch: number): readonly MetadataChange[] {
  const topic = { name: "events", topicId, partitions: 1, replicationFactor: 2, settings: new Map() };
  const replicas = [1, 2].map((brokerId) => ({ brokerId, directoryId: undefined }));
  const partition = { ...replica, replicas, isr: [1, 2], elr: [], leader: 1, leaderEpoch: 1, partitionEpoch };
  const sessions = [1, 2].map((brokerId) => ({ brokerId, brokerEpoch: brokerId, directoryIds: [], endpoints: [] }));
  return [
    { kind: "topic", name: "events", value: topic },
    { kind: "partition", ...replica, value: partition },
    ...sessions.map((value) => ({ kind: "brokerSession", brokerId: value.brokerId, value })),
  ] as unknown as readonly MetadataChange[];
}

function viewOf(broker: number, logEnd: bigint, partitionEpoch: number, flushed = logEnd): PartitionView {
  const state = {
    leader: 1,
    leaderEpoch: 1,
    partitionEpoch,
    replicas: [1, 2],
    isr: [1, 2],
    elr: [],
    recovering: false,
  };
  const leadership = { leaderEpoch: 1, maximalIsr: [1, 2], replicas: [] };
  return {
    self: broker,
    brokerEpoch: broker,
    role: broker === 1 ? "leader" : "follower",
    state,
    logStart: 0n,
    logEnd,
    flushed,
    highWatermark: broker === 1 ? logEnd : 0n,
    leaderEpochs: [],
    leadership: broker === 1 ? leadership : undefined,
  } as unknown as PartitionView;
}

const output = { trace: [], persist: [], send: [], answer: [] };
const input = { kind: "tick", nowMs: 0, controllerHeardMs: 0 } as const;

/** A watch by metadata that have the partition at partition epoch 7. */
function startWatch() {
  const clock = { nowMs: 0 };
  const violations = createViolations(clock);
  const { image } = applyChanges(emptyImage, partitionAt(7));
  const watch = createReplicaWatch(violations, clock, () => image);
  return { clock, violations, watch };
}

/** What is found when the leader has committed 10 records, the follower has 5, and the leader knows `leaderKnows`. */
function brokenRules(leaderKnows: number): readonly string[] {
  const { clock, violations, watch } = startWatch();
  watch.observe("broker-1#1", 1)(replica, () => viewOf(1, 10n, leaderKnows), input, output);
  watch.observe("broker-2#1", 2)(replica, () => viewOf(2, 5n, 7), input, output);
  clock.nowMs = 100;
  watch.checkTogether();
  return violations.found.map(({ rule }) => rule);
}

test("an in-sync replica that lacks what the leader called committed is found", () => {
  expect(brokenRules(7)).toEqual(["a member of ISR or ELR lacks committed records"]);
});

test("where the leader knows of a change that the onlooker has not heard of, nothing is proved", () => {
  expect(brokenRules(8)).toEqual([]);
});

/** What is found when the follower has 10 records and flushed 5, and the leader commits all of them before or after that. */
function brokenWithUnflushed(isCommittedBefore: boolean): readonly string[] {
  const { clock, violations, watch } = startWatch();
  const [leader, follower] = [watch.observe("broker-1#1", 1), watch.observe("broker-2#1", 2)];
  const steps = [
    () => follower(replica, () => viewOf(2, 10n, 7, 5n), input, output),
    () => leader(replica, () => viewOf(1, 10n, 7), input, output),
  ];
  for (const step of isCommittedBefore ? steps.reverse() : steps) step();
  watch.checkTogether();
  clock.nowMs = 100;
  watch.checkTogether();
  return violations.found.map(({ rule }) => rule);
}

test("an in-sync replica that has not flushed what the leader calls committed is found", () => {
  expect(brokenWithUnflushed(false)).toEqual(["a member of ISR or ELR lacks committed records"]);
});

test("what was committed before a process began it need not have flushed anew", () => {
  expect(brokenWithUnflushed(true)).toEqual([]);
});

/** What is found of a leader that counts itself alone and knows of this partition epoch, where both are in the ISR at 7. */
function brokenWithoutMember(leaderKnows: number): readonly string[] {
  const { violations, watch } = startWatch();
  const view = viewOf(1, 10n, leaderKnows);
  const alone = {
    ...view,
    state: { ...view.state, isr: [1] },
    leadership: { ...view.leadership, maximalIsr: [1], proposal: undefined },
  } as unknown as PartitionView;
  watch.observe("broker-1#1", 1)(replica, () => alone, input, output);
  watch.checkTogether();
  return violations.found.map(({ rule }) => rule);
}

test("a leader that does not count a member of the committed ISR is found", () => {
  expect(brokenWithoutMember(7)).toEqual(["a leader does not count who is in the ISR"]);
  expect(brokenWithoutMember(6)).toEqual(["a leader does not count who is in the ISR"]);
});

test("a leader may know of a smaller ISR that the onlooker has not heard of", () => {
  expect(brokenWithoutMember(8)).toEqual([]);
});

/** What is found when a leader knows of this state at partition epoch 8, and a follower of the usual one at 7 and of both at 8. */
function brokenByState(other: Partial<Record<keyof NonNullable<PartitionView["state"]>, unknown>>): readonly string[] {
  const { violations, watch } = startWatch();
  const at8 = viewOf(1, 10n, 8);
  const changed = { ...at8, state: { ...at8.state, ...other } } as unknown as PartitionView;
  watch.observe("broker-1#1", 1)(replica, () => changed, input, output);
  const follower = watch.observe("broker-2#1", 2);
  for (const partitionEpoch of [7, 8]) follower(replica, () => viewOf(2, 10n, partitionEpoch), input, output);
  return violations.found.map(({ rule }) => rule);
}

test.for([
  ["another leader", { leader: 2 }],
  ["another ISR", { isr: [1] }],
  ["another ELR", { elr: [2] }],
  ["other replicas", { replicas: [1, 2, 3] }],
  ["an older leader epoch", { leaderEpoch: 0 }],
  ["an unclean election", { recovering: true }],
] as const)("%s at one partition epoch is found", ([, other]) => {
  expect(brokenByState(other)).toContain("a partition epoch has two states");
});

test("the same state at one partition epoch is none, in whatever order members are named and whatever min ISR is by now", () => {
  expect(brokenByState({ isr: [2, 1], minIsr: 2 })).toEqual([]);
});

/** What is found when a replica is begun anew in one process, and then the machine in whose place it is takes another step. */
function brokenByReplaced(role: PartitionView["role"]): readonly string[] {
  const { violations, watch } = startWatch();
  const follower = watch.observe("broker-2#1", 2);
  const replacing = { ...replica };
  follower(replica, () => viewOf(2, 5n, 7), input, output);
  follower(replacing, () => viewOf(2, 0n, 7), input, output);
  const late = { ...viewOf(2, 5n, 7), role, state: { ...viewOf(2, 5n, 6).state, leaderEpoch: 0 } };
  follower(replica, () => late as unknown as PartitionView, input, output);
  return violations.found.map(({ rule }) => rule);
}

test("an answer that reaches a replica in whose place another one was begun is no step back (seed 1220037)", () => {
  expect(brokenByReplaced("offline")).toEqual([]);
});

test("a replica that goes on in service beside the one in its place is found", () => {
  expect(brokenByReplaced("follower")).toEqual(["a replica that was replaced is in service"]);
});
