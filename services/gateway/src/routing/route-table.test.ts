import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import { applyChanges, emptyImage, type MetadataChange, type MetadataImage } from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it } from "vitest";
import { createRouteTable } from "./route-table.ts";

const id = topicId("aaaaaaaa-0000-4000-8000-000000000001");
const partition = { topic: "orders", topicId: id, partition: 0 };

const session = (broker: number, host = "127.0.0.1"): MetadataChange => ({
  kind: "brokerSession",
  brokerId: brokerId(broker),
  value: {
    brokerId: brokerId(broker),
    brokerEpoch: brokerEpoch(1),
    incarnationId: "",
    directoryIds: [],
    endpoints: [
      { listener: "internal", host, port: 1 },
      { listener: "client", host, port: 9000 + broker },
    ],
    rack: "",
    state: "running",
  },
});
const gone = (broker: number): MetadataChange => ({
  kind: "brokerSession",
  brokerId: brokerId(broker),
  value: undefined,
});
const leads = (leader: number | undefined, epoch: number): MetadataChange => {
  const isr = leader === undefined ? [] : [brokerId(leader)];
  const value = {
    topicId: id,
    partition: partitionIndex(0),
    replicas: [],
    isr,
    elr: [],
    minIsr: 1,
    leader: isr[0],
    leaderEpoch: leaderEpoch(epoch),
    partitionEpoch: partitionEpoch(1),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
  return { kind: "partition", topicId: id, partition: value.partition, value };
};
const topic: MetadataChange = {
  kind: "topic",
  name: "orders",
  value: { name: "orders", topicId: id, partitions: 1, replicationFactor: 1, settings: new Map() },
};

function world(...changes: MetadataChange[]) {
  let image: MetadataImage = applyChanges(emptyImage, [topic, ...changes]).image;
  const table = createRouteTable(emptyImage);
  table.apply(image);
  const apply = (...more: MetadataChange[]) => {
    image = applyChanges(image, more).image;
    table.apply(image);
  };
  return { table, apply };
}
const hint = (broker: number, epoch: number) => ({ broker, endpoint: `hinted:${broker}`, leaderEpoch: epoch });

describe("the route to a partition", () => {
  it("leads to the client listener of its leader", () => {
    const { table } = world(session(1), leads(1, 4));
    expect(table.route(partition)).toEqual({ broker: 1, endpoint: "127.0.0.1:9001", leaderEpoch: 4 });
  });

  it("puts an address of IPv6 in brackets", () => {
    expect(world(session(1, "::1"), leads(1, 4)).table.route(partition)?.endpoint).toBe("[::1]:9001");
  });

  it("is none without a leader, and without a session of the leader", () => {
    expect(world(session(1), leads(undefined, 5)).table.route(partition)).toBeUndefined();
    expect(world(leads(1, 4)).table.route(partition)).toBeUndefined();
  });

  it("follows a hint of a newer leader epoch, and no other", () => {
    const { table } = world(session(1), leads(1, 4));
    for (const epoch of [3, 4]) table.learn(partition, hint(2, epoch));
    expect(table.route(partition)?.broker).toBe(1);
    table.learn(partition, hint(2, 6));
    table.learn(partition, hint(3, 5));
    expect(table.route(partition)).toEqual(hint(2, 6));
  });

  it("passes over a hint without an endpoint, and one about what is not there", () => {
    const { table } = world(session(1), leads(1, 4));
    table.learn(partition, { broker: 2, endpoint: "", leaderEpoch: 9 });
    table.learn({ ...partition, partition: 7 }, hint(2, 9));
    expect(table.route(partition)?.broker).toBe(1);
    expect(table.route({ ...partition, partition: 7 })).toBeUndefined();
  });

  it("comes from the metadata again when they have caught up with the hint", () => {
    const { table, apply } = world(session(1), session(2), leads(1, 4));
    table.learn(partition, hint(2, 6));
    apply(leads(1, 5));
    expect(table.route(partition)).toEqual(hint(2, 6));
    apply(leads(2, 6));
    expect(table.route(partition)).toEqual({ broker: 2, endpoint: "127.0.0.1:9002", leaderEpoch: 6 });
    apply(gone(2));
    expect(table.route(partition)).toBeUndefined();
  });
});

describe("what a request names", () => {
  it("is looked up by name, and by id where it gives one", () => {
    const { table } = world(leads(undefined, 0));
    expect(table.topic("orders", "").topicId).toBe(id);
    expect(table.topic("orders", id).topicId).toBe(id);
    expect(table.partition(table.topic("orders", ""), 0)).toEqual(partition);
  });

  it.each([
    { says: "an unknown name", name: "nope", topicId: "", reason: Reason.UNKNOWN_TOPIC },
    { says: "a name that no topic can have", name: "bad/name", topicId: "", reason: Reason.INVALID_TOPIC_NAME },
    { says: "an unknown name with an id", name: "nope", topicId: id, reason: Reason.UNKNOWN_TOPIC_ID },
    { says: "another id", name: "orders", topicId: "x", reason: Reason.UNKNOWN_TOPIC_ID },
  ])("is refused for $says", ({ name, topicId: asked, reason }) => {
    const { table } = world();
    expect(() => table.topic(name, asked)).toThrow(expect.objectContaining({ reason }) as Error);
  });

  it("is refused for a partition beyond the last", () => {
    const { table } = world(leads(undefined, 0));
    const unknown = expect.objectContaining({ reason: Reason.UNKNOWN_PARTITION }) as Error;
    expect(() => table.partition(table.topic("orders", ""), 1)).toThrow(unknown);
  });

  it("says of a partition without a leader whether an election may bring one, or an operator has to decide", () => {
    const table = createRouteTable(applyChanges(emptyImage, [topic, leads(undefined, 3)]).image);
    expect(table.noRoute(partition)).toMatchObject({ reason: Reason.LEADER_NOT_AVAILABLE, retriable: true });
    const regressed = leads(undefined, 4);
    if (regressed.kind !== "partition" || regressed.value === undefined) throw new Error("no partition");
    const value = { ...regressed.value, regressedFrom: leaderEpoch(9) };
    table.apply(applyChanges(table.image, [{ ...regressed, value }]).image);
    expect(table.noRoute(partition)).toMatchObject({ reason: Reason.METADATA_REGRESSED, retriable: false });
  });
});
