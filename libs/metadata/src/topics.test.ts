import { brokerId, partitionIndex, topicId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it, test } from "vitest";
import { applyChanges } from "./apply.ts";
import { type MetadataChange, removal } from "./change.ts";
import { createCluster } from "./cluster.ts";
import { configureTopic, repairMinIsr } from "./configure-topic.ts";
import { addPartitions, type CreateTopicCommand, createTopic } from "./create-topic.ts";
import { confirmDeletions, deleteTopic, sweepOrphans } from "./delete-topic.ts";
import { describeBrokers, describeHealth, describeTopic, describeTopicList } from "./describe.ts";
import { eachOrphan, emptyImage, findTopic, listPartitions, type MetadataImage } from "./image.ts";
import { lookup } from "./persistent-map.ts";
import { allocateProducerIds } from "./producer-ids.ts";
import {
  first,
  follow,
  idOf,
  ids,
  imageOf,
  ordersId,
  partitionIn,
  partitionOf,
  sessionOf,
  shapeOf,
} from "./testing/world.ts";
import { topicNameProblem } from "./topic-name.ts";
import { changeFromJson } from "./wire.ts";

const limits = { topicsMax: 3, partitionsMax: 20 };
const placement = { controllerEpoch: 2 as never, limits, draw: first };
const three = () => imageOf([1, 2, 3].map((id) => sessionOf(id)));

function commandOf(fields: Partial<CreateTopicCommand> = {}): CreateTopicCommand {
  return {
    name: "orders",
    topicId: ordersId,
    partitions: 2,
    replicationFactor: undefined,
    defaultReplicationFactor: 3,
    minInsyncReplicas: { value: 2, isExplicit: false },
    settings: new Map(),
    ...fields,
  };
}

const created = (image: MetadataImage, fields: Partial<CreateTopicCommand> = {}) =>
  follow(image, createTopic(image, commandOf(fields), placement)).image;

describe("a topic's name", () => {
  test.each(["a", "orders.v1-x_Y", "a".repeat(249), "..."])("may be %j", (name) => {
    expect(topicNameProblem(name)).toBeUndefined();
  });

  test.each(["", ".", "..", "a".repeat(250), "a/b", "a b", "ä", "a\u0000", "a\n"])("may not be %j", (name) => {
    expect(topicNameProblem(name)).toBeDefined();
    const decision = createTopic(three(), commandOf({ name }), placement);
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.INVALID_TOPIC_NAME } });
  });
});

describe("making a topic", () => {
  it("writes the partitions first and the name last", () => {
    const decision = createTopic(three(), commandOf(), placement);
    const kinds = decision.kind === "decided" ? decision.changes.map((change) => change.kind) : [];
    expect(kinds).toEqual(["partition", "partition", "topic"]);
  });

  it("begins each partition with every replica in sync, led by the first, in epochs 0", () => {
    const image = created(three());
    for (const partition of listPartitions(image, ordersId)) {
      expect(partition.isr).toEqual(partition.replicas.map((replica) => replica.brokerId));
      expect(shapeOf(partition)).toMatchObject({
        leader: partition.isr[0],
        elr: [],
        leaderEpoch: 0,
        partitionEpoch: 0,
      });
    }
  });

  test.each([
    ["three brokers: the default", [1, 2, 3], {}, 3, 2],
    ["two brokers: as many as there are", [1, 2], {}, 2, 2],
    ["one broker", [1], {}, 1, 1],
    ["what is asked for", [1, 2, 3], { replicationFactor: 2 }, 2, 2],
    ["a min ISR of its own", [1, 2, 3], { minInsyncReplicas: { value: 1, isExplicit: true } }, 3, 1],
    [
      "a min ISR above the factor that was not asked for",
      [1],
      { minInsyncReplicas: { value: 3, isExplicit: true } },
      1,
      1,
    ],
  ])("with %s has fitting replicas and min ISR (R4)", (_, brokers, fields, factor, minIsr) => {
    const image = created(imageOf(brokers.map((id) => sessionOf(id))), fields);
    expect(findTopic(image, "orders")?.replicationFactor).toBe(factor);
    expect(listPartitions(image, ordersId).map((partition) => partition.minIsr)).toEqual([minIsr, minIsr]);
  });

  test.each<readonly [string, MetadataImage, Partial<CreateTopicCommand>, Reason]>([
    ["a name that is taken", imageOf([sessionOf(1)], [partitionOf()]), {}, Reason.TOPIC_EXISTS],
    ["no partition", three(), { partitions: 0 }, Reason.INVALID_ARGUMENT],
    ["no replica", three(), { replicationFactor: 0 }, Reason.INVALID_REPLICATION_FACTOR],
    [
      "more replicas than brokers",
      imageOf([sessionOf(1)]),
      { replicationFactor: 2 },
      Reason.INVALID_REPLICATION_FACTOR,
    ],
    ["no broker at all", imageOf([]), {}, Reason.INVALID_REPLICATION_FACTOR],
    [
      "brokers that are stopping or fenced",
      imageOf([sessionOf(1, { state: "stopping" }), sessionOf(2, { state: "fenced" })]),
      {},
      Reason.INVALID_REPLICATION_FACTOR,
    ],
    [
      "a min ISR above the replication factor, both given",
      three(),
      { replicationFactor: 1, minInsyncReplicas: { value: 2, isExplicit: true } },
      Reason.INVALID_CONFIG,
    ],
    ["more partitions than a cluster holds", three(), { partitions: 21 }, Reason.INVALID_ARGUMENT],
  ])("with %s is refused, and nothing is changed", (_, image, fields, reason) => {
    expect(createTopic(image, commandOf(fields), placement)).toMatchObject({ kind: "refused", refusal: { reason } });
  });

  it("is refused beyond the topics that a cluster holds", () => {
    let image = three();
    for (const [index, name] of ["a", "b", "c"].entries()) image = created(image, { name, topicId: idOf(index) });
    const decision = createTopic(image, commandOf(), placement);
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.INVALID_ARGUMENT } });
  });

  it("under a name whose key cannot be read is refused: it may be taken", () => {
    const malformed: MetadataChange = { kind: "malformed", key: { kind: "topic", name: "orders" }, message: "no JSON" };
    const decision = createTopic(applyChanges(three(), [malformed]).image, commandOf(), placement);
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.TOPIC_EXISTS } });
  });
});

describe("adding partitions", () => {
  it("writes them first and the topic's new count last, and leaves the others as they are", () => {
    const before = created(three());
    const decision = addPartitions(before, { name: "orders", partitions: 5 }, placement);
    const kinds = decision.kind === "decided" ? decision.changes.map((change) => change.kind) : [];
    expect(kinds).toEqual(["partition", "partition", "partition", "topic"]);
    const after = follow(before, decision).image;
    expect(listPartitions(after, ordersId).map((partition) => partition.partition)).toEqual([0, 1, 2, 3, 4]);
    expect(listPartitions(after, ordersId).slice(0, 2)).toEqual(listPartitions(before, ordersId));
  });

  test.each([
    ["to an unknown topic", "none", 5, Reason.UNKNOWN_TOPIC],
    ["up to the count that it has", "orders", 2, Reason.INVALID_ARGUMENT],
    ["up to fewer", "orders", 1, Reason.INVALID_ARGUMENT],
    ["beyond what a cluster holds", "orders", 21, Reason.INVALID_ARGUMENT],
  ])("%s is refused", (_, name, partitions, reason) => {
    const decision = addPartitions(created(three()), { name, partitions }, placement);
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason } });
  });

  it("is refused where fewer brokers run than each partition has replicas", () => {
    const before = applyChanges(created(three()), [removal({ kind: "brokerSession", brokerId: brokerId(3) })]).image;
    const decision = addPartitions(before, { name: "orders", partitions: 5 }, placement);
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.INVALID_REPLICATION_FACTOR } });
  });

  it("begun and not ended leaves nothing visible, and is swept", () => {
    const before = created(three());
    const decision = addPartitions(before, { name: "orders", partitions: 5 }, placement);
    const half = applyChanges(before, decision.kind === "decided" ? decision.changes.slice(0, 2) : []).image;
    expect(listPartitions(half, ordersId)).toHaveLength(2);
    expect([...eachOrphan(half)]).toHaveLength(2);
    const swept = follow(half, sweepOrphans(half)).image;
    expect([...eachOrphan(swept)]).toEqual([]);
    expect(listPartitions(swept, ordersId)).toHaveLength(2);
  });
});

describe("deleting a topic", () => {
  it("removes the name in one batch with the note that brokers wait for (D7)", () => {
    const before = created(three());
    const decision = deleteTopic(before, { name: "orders", topicId: undefined });
    expect(decision).toMatchObject({
      kind: "decided",
      answer: ordersId,
      changes: [
        { kind: "deletedTopic", value: { topicId: ordersId, name: "orders", awaited: [1, 2, 3] } },
        { kind: "topic", value: undefined },
        { kind: "partition", value: undefined },
        { kind: "partition", value: undefined },
      ],
    });
  });

  it("of another topic that had the name is refused", () => {
    const decision = deleteTopic(created(three()), { name: "orders", topicId: idOf(7) });
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.UNKNOWN_TOPIC_ID } });
  });

  it("is noted until the last broker has carried it out", () => {
    let image = created(three());
    image = follow(image, deleteTopic(image, { name: "orders", topicId: undefined })).image;
    for (const id of [1, 2]) {
      image = follow(image, confirmDeletions(image, { brokerId: brokerId(id), topicIds: [ordersId] })).image;
    }
    expect(lookup(image.deletedTopics, ordersId)?.awaited).toEqual(ids([3]));
    const again = confirmDeletions(image, { brokerId: brokerId(1), topicIds: [ordersId, idOf(9)] });
    expect(again).toMatchObject({ kind: "decided", changes: [] });
    image = follow(image, confirmDeletions(image, { brokerId: brokerId(3), topicIds: [ordersId] })).image;
    expect(image.deletedTopics.size).toBe(0);
  });

  it("begun and not ended is completed by a sweep", () => {
    const before = created(three());
    const decision = deleteTopic(before, { name: "orders", topicId: undefined });
    const half = applyChanges(before, decision.kind === "decided" ? decision.changes.slice(0, 3) : []).image;
    const swept = follow(half, sweepOrphans(half)).image;
    expect(swept.topics.size).toBe(0);
    expect(swept.deletedTopics.size).toBe(1);
  });

  it("is never concluded from a topic's key that cannot be read", () => {
    const malformed: MetadataChange = { kind: "malformed", key: { kind: "topic", name: "orders" }, message: "no JSON" };
    const image = applyChanges(created(three()), [malformed]).image;
    expect([...eachOrphan(image)]).toHaveLength(2);
    expect(sweepOrphans(image)).toMatchObject({ kind: "decided", changes: [] });
  });

  it("of an unknown topic says that nothing was deleted, and not how one is made", () => {
    const decision = deleteTopic(three(), { name: "none", topicId: undefined });
    expect(decision).toMatchObject({ kind: "refused", refusal: { reason: Reason.UNKNOWN_TOPIC } });
    expect(decision.kind === "refused" && decision.refusal.message).toBe(
      "There is no topic none, and nothing was deleted",
    );
  });
});

describe("configuring a topic", () => {
  const configured = (image: MetadataImage, minInsyncReplicas: number) => {
    const settings = new Map([["min.insync.replicas", String(minInsyncReplicas)]]);
    return follow(image, configureTopic(image, { name: "orders", settings, minInsyncReplicas }, 3 as never)).image;
  };

  it("changes the min ISR in force with the partition epoch, the leader epoch stays (R4)", () => {
    const before = imageOf(
      [1, 2, 3].map((id) => sessionOf(id)),
      [partitionOf()],
    );
    const after = partitionIn(configured(before, 3));
    expect(after).toMatchObject({ minIsr: 3, partitionEpoch: 8, leaderEpoch: 4, controllerEpoch: 3 });
  });

  it("empties the ELR when the ISR suffices again, and does not bring it back (case 20d)", () => {
    const small = partitionOf({ isr: [1], elr: [2], minIsr: 2 });
    const before = imageOf(
      [1, 2, 3].map((id) => sessionOf(id)),
      [small],
    );
    const lowered = configured(before, 1);
    expect(partitionIn(lowered)).toMatchObject({ minIsr: 1, elr: [] });
    expect(partitionIn(configured(lowered, 2))).toMatchObject({ minIsr: 2, isr: [1], elr: [] });
  });

  it("half done by a controller that died is undone by the next one: partitions follow what the topic says", () => {
    const before = imageOf(
      [1, 2, 3].map((id) => sessionOf(id)),
      [partitionOf(), partitionOf({ partition: partitionIndex(1) })],
    );
    const settings = new Map([["min.insync.replicas", "3"]]);
    const command = { name: "orders", settings, minInsyncReplicas: 3 };
    const decision = configureTopic(before, command, 3 as never);
    const half = applyChanges(before, decision.kind === "decided" ? decision.changes.slice(0, 1) : []).image;
    const repair = (image: MetadataImage) => repairMinIsr(image, { minInsyncReplicas: 2 }, 4 as never);
    const minIsrs = (image: MetadataImage) => listPartitions(image, ordersId).map(({ minIsr }) => minIsr);
    expect(minIsrs(half)).toEqual([3, 2]);
    expect(minIsrs(follow(half, repair(half)).image)).toEqual([2, 2]);
    const whole = follow(before, decision).image;
    expect(repair(whole)).toMatchObject({ kind: "decided", changes: [] });
  });

  it("changes nothing where nothing differs", () => {
    const before = configured(imageOf([sessionOf(1)], [partitionOf()]), 3);
    const settings = new Map([["min.insync.replicas", "3"]]);
    const again = configureTopic(before, { name: "orders", settings, minInsyncReplicas: 3 }, 3 as never);
    expect(again).toMatchObject({ kind: "decided", changes: [] });
  });
});

describe("producer ids", () => {
  it("are given out in blocks that follow each other", () => {
    let image = three();
    const blocks = [1, 2, 3].map(() => {
      const { image: after, answer } = follow(image, allocateProducerIds(image));
      image = after;
      return answer;
    });
    expect(blocks).toEqual([0n, 1000n, 2000n].map((firstProducerId) => ({ firstProducerId, count: 1000 })));
  });

  it("are not given out while it cannot be read which ones were (C12)", () => {
    const { image: given } = follow(three(), allocateProducerIds(three()));
    const { image } = applyChanges(given, [changeFromJson("/producers/next", "{") as MetadataChange]);
    expect(allocateProducerIds(image)).toMatchObject({ kind: "refused", refusal: { reason: Reason.INTERNAL } });
  });
});

describe("the cluster", () => {
  it("is set up once", () => {
    const { image, answer } = follow(emptyImage, createCluster(emptyImage, { clusterId: "blue" }));
    expect(answer).toMatchObject({ clusterId: "blue", sealed: false });
    const again = createCluster(image, { clusterId: "red" });
    expect(again).toMatchObject({ kind: "decided", changes: [], answer: { clusterId: "blue" } });
  });

  it("is not set up over metadata that have none, or over a key that cannot be read", () => {
    const headless = applyChanges(created(three()), [removal({ kind: "cluster" })]).image;
    const malformed: MetadataChange = { kind: "malformed", key: { kind: "cluster" }, message: "no JSON" };
    for (const image of [headless, applyChanges(emptyImage, [malformed]).image]) {
      expect(createCluster(image, { clusterId: "blue" })).toMatchObject({ kind: "refused" });
    }
  });
});

describe("a description", () => {
  it("tells a topic as it is", () => {
    const image = imageOf([sessionOf(1), sessionOf(3)], [partitionOf({ isr: [1], elr: [3] })]);
    const topic = findTopic(image, "orders");
    expect(topic === undefined ? undefined : describeTopic(image, topic)).toMatchObject({
      name: "orders",
      topicId: ordersId,
      replicationFactor: 3,
      partitions: [{ partition: 0, leader: 1, leaderEpoch: 4, replicas: [1, 2, 3], isr: [1], elr: [3], offline: [2] }],
    });
    expect(describeTopicList(image)).toMatchObject([{ name: "orders", partitions: 1 }]);
  });

  it("leaves the leader out where there is none", () => {
    const image = imageOf([], [partitionOf({ isr: [], elr: [1], leader: undefined })]);
    const topic = findTopic(image, "orders");
    expect(topic && describeTopic(image, topic).partitions[0]?.leader).toBeUndefined();
  });

  it("tells brokers that live and those that lived, with what they hold", () => {
    const before = imageOf([sessionOf(1), sessionOf(2)], [partitionOf({ replicas: [1, 2], isr: [1, 2] })]);
    const image = applyChanges(before, [removal({ kind: "brokerSession", brokerId: brokerId(2) })]).image;
    expect(describeBrokers(image)).toMatchObject([
      { brokerId: 1, alive: true, leaders: 1, replicas: 1 },
      { brokerId: 2, alive: false, leaders: 0, replicas: 1 },
    ]);
  });

  it("counts what is wrong", () => {
    const partitions = [
      partitionOf(),
      partitionOf({ partition: 1 as never, isr: [1] }),
      partitionOf({ partition: 2 as never, isr: [], elr: [1], leader: undefined }),
    ];
    expect(describeHealth(imageOf([sessionOf(1)], partitions))).toEqual({
      topics: 1,
      partitions: 3,
      offlinePartitions: 1,
      underReplicatedPartitions: 2,
      underMinIsrPartitions: 2,
      regressedPartitions: 0,
    });
  });
});

it("ids of topics are UUIDs", () => {
  expect(topicId(ordersId)).toBe(ordersId);
});
