import { applyChanges, emptyImage, type MetadataChange } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { createControllerActivity } from "./controller-activity.ts";
import { type ClusterAtAMoment, describeCluster } from "./describe-cluster.ts";

const topicId = "00000000-0000-4000-8000-000000000001";

/** Broker 1 leads alone, 2 is fenced and eligible, 3 had a session and has none. */
function imageOf() {
  const topic = { name: "events", topicId, partitions: 1, replicationFactor: 3, settings: new Map() };
  const replicas = [{ brokerId: 1 }, { brokerId: 2 }, { brokerId: 3, damagedIn: 5 }];
  const epochs = { leaderEpoch: 4, partitionEpoch: 9 };
  const lists = { replicas, isr: [1], elr: [2], adding: [], removing: [] };
  const partition = { topicId, partition: 0, ...lists, ...epochs, minIsr: 2, leader: 1, recovering: false };
  const session = (brokerId: number, state: string) => ({
    kind: "brokerSession",
    brokerId,
    value: { brokerId, brokerEpoch: brokerId + 10, directoryIds: ["a"], endpoints: [], state },
  });
  const changes = [
    { kind: "topic", name: "events", value: topic },
    { kind: "partition", topicId, partition: 0, value: partition },
    session(1, "running"),
    session(2, "fenced"),
    { kind: "knownBroker", brokerId: 3, value: { brokerId: 3, brokerEpoch: 8, directoryIds: [] } },
  ] as unknown as readonly MetadataChange[];
  return applyChanges(emptyImage, changes).image;
}

type Machine = ClusterAtAMoment["cluster"]["brokers"][number];

function machine(name: string, life: "runs" | "is paused" | "is down", faults: object = {}): Machine {
  const none = { failedSyncs: 0, stalledUntilMs: 0, capacity: Number.POSITIVE_INFINITY, failing: undefined };
  const lives = life !== "is down";
  return {
    name,
    identity: { id: Number(name.at(-1)) },
    device: { wasLost: false, wasDamaged: false, faults: { ...none, ...faults } },
    process: lives ? { name: `${name}#1`, isPaused: life === "is paused" } : undefined,
    service: lives ? {} : undefined,
  } as unknown as Machine;
}

test("the report of a failure tells who is active, registered and fenced, and of each partition who is counted on", () => {
  const activity = createControllerActivity();
  activity.observe("controller-1#1")({ kind: "activated", epoch: 3 } as never);
  activity.observe("controller-2#1")({ kind: "activated", epoch: 2 } as never);
  activity.observe("controller-2#1")({ kind: "deactivated", epoch: 2, why: "resigned" } as never);
  const known = [`${topicId}-0`, "gone-0"];
  const lines = describeCluster({
    cluster: {
      etcds: [],
      controllers: [machine("controller-1", "runs"), machine("controller-2", "runs")],
      brokers: [
        machine("broker-1", "runs", { stalledUntilMs: 2000 }),
        machine("broker-2", "is paused", { capacity: 10 }),
        machine("broker-3", "is down"),
        machine("broker-4", "is down"),
      ],
      gateways: [],
    },
    image: imageOf(),
    activeIn: activity.epochOf,
    replicas: { describe: (of) => known.filter(of).map((each) => `${each} on broker-1#1`) },
    engine: { nowMs: 1000 },
  });
  expect(lines).toEqual([
    "controller-1 runs as controller-1#1; active in controller epoch 3",
    "controller-2 runs as controller-2#1; not active",
    "the metadata name nobody as active, in controller epoch none",
    "broker-1 runs as broker-1#1, its flushes stand still; registered, running, in broker epoch 11 with 1 log directories",
    "broker-2 runs as broker-2#1, paused, its disk is full; registered, fenced, in broker epoch 12 with 1 log directories",
    "broker-3 does not run; unregistered, last in broker epoch 8",
    "broker-4 does not run; never registered",
    `events-0 (${topicId}-0) is led by 1 in leader epoch 4, partition epoch 9, ISR 1, ELR 2, replicas 1,2,3 (damaged), min ISR 2`,
    `  ${topicId}-0 on broker-1#1`,
    "replicas of what the metadata do not show:",
    "gone-0 on broker-1#1",
  ]);
});

test("a process that has ended is not called active", () => {
  const activity = createControllerActivity();
  activity.observe("controller-1#1")({ kind: "activated", epoch: 3 } as never);
  activity.forget("controller-1#1");
  expect(activity.epochOf("controller-1#1")).toBeUndefined();
});
