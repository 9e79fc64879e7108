import { applyChanges, emptyImage, type MetadataChange } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import type { FaultWorld } from "./fault-kinds.ts";
import { repairDirectories } from "./repair.ts";

const topicId = "00000000-0000-4000-8000-000000000001";

/** Broker 1 has a replica in a directory, and a session with these. */
function imageOf(replicaIn: string, directoryIds: readonly string[]) {
  const topic = { name: "events", topicId, partitions: 1, replicationFactor: 1, settings: new Map() };
  const replicas = [{ brokerId: 1, directoryId: replicaIn }];
  const lists = { replicas, isr: [], elr: [1], adding: [], removing: [], minIsr: 1, leader: undefined };
  const partition = { topicId, partition: 0, leaderEpoch: 1, partitionEpoch: 1, recovering: false, ...lists };
  const session = { brokerId: 1, brokerEpoch: 1, directoryIds, endpoints: [], state: "running" };
  const changes = [
    { kind: "topic", name: "events", value: topic },
    { kind: "partition", topicId, partition: 0, value: partition },
    { kind: "brokerSession", brokerId: 1, value: session },
  ] as unknown as readonly MetadataChange[];
  return applyChanges(emptyImage, changes).image;
}

const whole = ["a", "b"];

test.each([
  { what: "a directory out of service", wasLost: false, replicaIn: "b", directories: ["a"], isStarted: true },
  { what: "every directory in service", wasLost: false, replicaIn: "b", directories: whole, isStarted: false },
  { what: "a disk that was replaced", wasLost: true, replicaIn: "old", directories: whole, isStarted: false },
  {
    what: "a disk that was replaced, and a directory out of service",
    wasLost: true,
    replicaIn: "old",
    directories: ["a"],
    isStarted: true,
  },
])("a broker with $what is started anew: $isStarted", ({ wasLost, replicaIn, directories, isStarted }) => {
  const engine = createEngine();
  const done: string[] = [];
  const node = {
    name: "broker-1",
    identity: { id: 1, settings: { "log.dirs": "/data/log-1,/data/log-2" } },
    device: { wasLost },
    service: {},
    kill: () => done.push("kill"),
    boot: () => done.push("boot"),
  };
  const image = imageOf(replicaIn, directories);
  const world = { engine, cluster: { brokers: [node] }, image: () => image } as unknown as FaultWorld;
  repairDirectories(world, () => undefined);
  engine.step(Number.MAX_VALUE);
  expect(done).toEqual(isStarted ? ["kill", "boot"] : []);
});
