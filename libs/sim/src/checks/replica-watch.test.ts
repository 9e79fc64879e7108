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

function viewOf(broker: number, logEnd: bigint, partitionEpoch: number): PartitionView {
  const state = { leaderEpoch: 1, partitionEpoch, isr: [1, 2] };
  const leadership = { leaderEpoch: 1, maximalIsr: [1, 2], replicas: [] };
  return {
    self: broker,
    brokerEpoch: broker,
    role: broker === 1 ? "leader" : "follower",
    state,
    logStart: 0n,
    logEnd,
    flushed: logEnd,
    highWatermark: logEnd,
    leaderEpochs: [],
    leadership: broker === 1 ? leadership : undefined,
  } as unknown as PartitionView;
}

/** What is found when the leader has committed 10 records, the follower has 5, and the leader knows `leaderKnows`. */
function brokenRules(leaderKnows: number): readonly string[] {
  const clock = { nowMs: 0 };
  const violations = createViolations(clock);
  const { image } = applyChanges(emptyImage, partitionAt(7));
  const watch = createReplicaWatch(violations, clock, () => image);
  const output = { trace: [], persist: [], send: [], answer: [] };
  const input = { kind: "tick", nowMs: 0, controllerHeardMs: 0 } as const;
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
