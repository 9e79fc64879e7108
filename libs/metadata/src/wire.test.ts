import { create } from "@bufbuild/protobuf";
import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  controllerId,
  leaderEpoch,
  offset,
  partitionIndex,
} from "@tidemark/ids";
import { MetadataChangeSchema } from "@tidemark/proto/metadata/v1";
import { describe, expect, it, test } from "vitest";
import { formatDomainKey, keyOfChange, type MetadataChange, removal } from "./change.ts";
import type { Receipt } from "./model.ts";
import { cluster, directoryOf, ids, ordersId, partitionOf, sessionOf, topicOf } from "./testing/world.ts";
import { changeFromJson, changeFromWire, changeToJson, changeToWire } from "./wire.ts";

const known = {
  brokerId: brokerId(1),
  brokerEpoch: brokerEpoch(9),
  directoryIds: [directoryOf(1)],
  bootId: "b",
  flushAsync: true,
};
const receipt: Receipt = {
  topicId: ordersId,
  partition: partitionIndex(2),
  leaderEpoch: leaderEpoch(9),
  leader: brokerId(3),
  commanded: true,
  timeMs: 1234,
  positions: [{ brokerId: brokerId(3), lastLeaderEpoch: -1, logEnd: offset(7n), logStart: offset(0n) }],
  cuts: [
    { brokerId: brokerId(1), firstOffset: offset(7n), logEnd: offset(9n) },
    { brokerId: brokerId(2), firstOffset: offset(0n), logEnd: offset(0n), copiedAnew: true },
  ],
  awaited: ids([2]),
};
const active = {
  controllerId: controllerId(2),
  directoryId: "",
  endpoint: "127.0.0.1:4650",
  controllerEpoch: controllerEpoch(3),
};
const partition = partitionOf({ elr: [3], isr: [2], recovering: true });
const changes: readonly MetadataChange[] = [
  { kind: "cluster", value: cluster },
  { kind: "controller", value: active },
  { kind: "controller", value: { ...active, controllerId: undefined } },
  { kind: "brokerSession", brokerId: brokerId(1), value: sessionOf(1, { rack: "a", state: "stopping" }) },
  { kind: "brokerSession", brokerId: brokerId(1), value: sessionOf(1, { state: "fenced" }) },
  { kind: "knownBroker", brokerId: brokerId(1), value: known },
  { kind: "topic", name: "orders", value: topicOf({ settings: new Map([["retention.ms", "1000"]]) }) },
  { kind: "partition", topicId: ordersId, partition: partitionIndex(0), value: partition },
  {
    kind: "partition",
    topicId: ordersId,
    partition: partitionIndex(0),
    value: partitionOf({ isr: [], elr: [1], leader: undefined }),
  },
  { kind: "deletedTopic", topicId: ordersId, value: { topicId: ordersId, name: "orders", awaited: ids([1, 2]) } },
  { kind: "receipt", topicId: ordersId, partition: partitionIndex(2), value: receipt },
  { kind: "topic", name: "orders", value: topicOf({ wasAsync: true }) },
  {
    kind: "partition",
    topicId: ordersId,
    partition: partitionIndex(0),
    value: {
      ...partitionOf(),
      replicas: partitionOf().replicas.map((replica) => ({
        ...replica,
        damagedIn: brokerEpoch(0),
        offlineIn: brokerEpoch(3),
      })),
    },
  },
  { kind: "producerIds", value: { nextProducerId: 2n ** 60n } },
];

describe("a change", () => {
  test.each(changes.map((change) => [formatDomainKey(keyOfChange(change)), change] as const))(
    "of %s is the same after a way over the wire and through the store",
    (key, change) => {
      expect(changeFromWire(changeToWire(change))).toEqual(change);
      expect(changeFromJson(key, changeToJson(change))).toEqual(change);
      const removed = removal(keyOfChange(change));
      expect(changeFromWire(changeToWire(removed))).toEqual(removed);
      expect(changeFromJson(key, changeToJson(removed))).toEqual(removed);
    },
  );

  test.each(["/append", "/controllers/1", "/controller_epoch", "/config/topics/x", "/acls/x", "/later/1", "", "x"])(
    "of %j is passed over",
    (key) => {
      expect(changeFromJson(key, "{}")).toBeUndefined();
      expect(changeFromWire(create(MetadataChangeSchema, { key }))).toBeUndefined();
    },
  );

  it("of a newer version is read as far as it is known", () => {
    const json = `{"clusterId":"c","formatVersion":1,"featureLevel":3,"color":"blue"}`;
    expect(changeFromJson("/cluster", json)).toMatchObject({ kind: "cluster", value: { featureLevel: 3 } });
    const session = changeToJson({ kind: "brokerSession", brokerId: brokerId(1), value: sessionOf(1) });
    const later = session?.replace("BROKER_STATE_RUNNING", "BROKER_STATE_DREAMING");
    expect(changeFromJson("/brokers/ids/1", later)).toMatchObject({ kind: "brokerSession" });
  });

  test.each([
    ["is no JSON", "/cluster", "{"],
    ["is JSON of another shape", "/cluster", `{"formatVersion":"one"}`],
    ["has a value out of range", "/brokers/known/1", `{"brokerId":1,"brokerEpoch":4294967295}`],
    ["has a directory id that is none", "/brokers/known/1", `{"brokerId":1,"directoryIds":["disk"]}`],
    ["belongs to another key", "/brokers/known/2", `{"brokerId":1}`],
    ["is a topic without a partition", "/topics/t", `{"name":"t","topicId":"${ordersId}","replicationFactor":1}`],
  ])("whose value %s is malformed, and travels as a removal", (_, key, json) => {
    const change = changeFromJson(key, json);
    expect(change?.kind).toBe("malformed");
    if (change !== undefined) expect(changeToWire(change).record.case).toBe("removed");
  });

  test.each([
    ["an ISR member without a replica", { ...partition, isr: ids([2, 9]) }],
    ["a leader outside the ISR", { ...partition, leader: brokerId(1) }],
    ["two replicas on one broker", { ...partition, replicas: [...partition.replicas, ...partition.replicas] }],
    ["a min ISR of 0", { ...partition, minIsr: 0 }],
  ])("to a partition with %s is malformed", (_, value) => {
    const change: MetadataChange = { kind: "partition", topicId: ordersId, partition: partitionIndex(0), value };
    expect(changeFromWire(changeToWire(change))?.kind).toBe("malformed");
  });
});
