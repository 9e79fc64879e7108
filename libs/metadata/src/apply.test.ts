import { brokerId, partitionEpoch, partitionIndex } from "@tidemark/ids";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyChanges, imageToChanges, replaceImage } from "./apply.ts";
import { type MetadataChange, putDeletedTopic, putPartition, putSession, putTopic, removal } from "./change.ts";
import { emptyImage, findPartition, findTopic, listPartitions, type MetadataImage } from "./image.ts";
import { entriesOf } from "./persistent-map.ts";
import { idOf, ids, ordersId, partitionOf, sessionOf, topicOf } from "./testing/world.ts";

/** Changes over few keys, so that they meet. */
const anyChange: fc.Arbitrary<MetadataChange> = fc.oneof(
  fc
    .record({ id: fc.integer({ min: 1, max: 3 }), epoch: fc.integer({ min: 1, max: 9 }) })
    .map(({ id, epoch }) => putSession(sessionOf(id, { brokerEpoch: epoch as never }))),
  fc.integer({ min: 1, max: 3 }).map((id) => removal({ kind: "brokerSession", brokerId: brokerId(id) })),
  fc
    .record({
      id: fc.integer({ min: 1, max: 3 }),
      name: fc.constantFrom("a", "b"),
      count: fc.integer({ min: 1, max: 4 }),
    })
    // A topic id belongs to one name for ever.
    .map(({ id, name, count }) => putTopic(topicOf({ name, topicId: topicIdFor(name, id), partitions: count }))),
  fc.constantFrom("a", "b").map((name) => removal({ kind: "topic", name })),
  fc
    .record({ id: fc.integer({ min: 1, max: 3 }), index: fc.integer({ min: 0, max: 4 }), epoch: fc.nat(5) })
    .map(({ id, index, epoch }) =>
      putPartition(
        partitionOf({
          topicId: anyTopicId(id),
          partition: partitionIndex(index),
          partitionEpoch: partitionEpoch(epoch),
        }),
      ),
    ),
  fc
    .record({ id: fc.integer({ min: 1, max: 3 }), index: fc.integer({ min: 0, max: 4 }) })
    .map(({ id, index }) => removal({ kind: "partition", topicId: anyTopicId(id), partition: partitionIndex(index) })),
  fc
    .integer({ min: 1, max: 3 })
    .map((id) => putDeletedTopic({ topicId: anyTopicId(id), name: "a", awaited: ids([1]) })),
  fc.constant<MetadataChange>({ kind: "malformed", key: { kind: "topic", name: "a" }, message: "no JSON" }),
);

function topicIdFor(name: string, version: number) {
  return idOf((name === "a" ? 0 : 10) + version);
}

function anyTopicId(number: number) {
  return topicIdFor(number === 3 ? "b" : "a", number === 3 ? 1 : number);
}

/** An image as plain data, whatever the history that led to it. */
function plain(image: MetadataImage) {
  const { topicIds, topics, deletedTopics, ...rest } = image;
  return {
    ...rest,
    topicIds: new Map(entriesOf(topicIds)),
    topics: new Map(
      Array.from(entriesOf(topics), ([id, e]) => [id, { ...e, partitions: new Map(entriesOf(e.partitions)) }]),
    ),
    deletedTopics: new Map(entriesOf(deletedTopics)),
  };
}

describe("an image", () => {
  it("is the same whether changes come one by one, in batches, or as a snapshot", () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 60 }), (changes) => {
        let oneByOne = emptyImage;
        for (const change of changes) oneByOne = applyChanges(oneByOne, [change]).image;
        const atOnce = applyChanges(emptyImage, changes).image;
        expect(plain(atOnce)).toEqual(plain(oneByOne));
        const rebuilt = applyChanges(emptyImage, imageToChanges(oneByOne)).image;
        expect(plain({ ...rebuilt, malformed: oneByOne.malformed })).toEqual(plain(oneByOne));
      }),
    );
  });

  it("tells exactly what became visible or vanished, by changes as by a snapshot", () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 40 }), fc.array(anyChange, { maxLength: 20 }), (earlier, later) => {
        const before = applyChanges(emptyImage, earlier).image;
        const step = applyChanges(before, later);
        const jump = replaceImage(before, imageToChanges(step.image));
        const told = [
          ...step.delta.partitions,
          ...step.delta.topics,
          ...step.delta.sessions,
          ...step.delta.deletedTopics,
        ];
        expect(told.every(({ before: was, after: is }) => was !== undefined || is !== undefined)).toBe(true);
        expect(visible(before, step.delta.partitions)).toEqual(listed(step.image));
        expect(visible(before, jump.delta.partitions)).toEqual(listed(step.image));
        expect(jump.delta.sessions.length).toBe(step.delta.sessions.length);
      }),
    );
  });

  it("leaves the image before a change as it was", () => {
    const before = applyChanges(emptyImage, [putPartition(partitionOf()), putTopic(topicOf())]).image;
    const copy = plain(before);
    applyChanges(before, [removal({ kind: "topic", name: "orders" }), putSession(sessionOf(1))]);
    expect(plain(before)).toEqual(copy);
  });

  it("shows the partitions of a topic all at once, with its name (case 27d)", () => {
    const parts = applyChanges(
      emptyImage,
      [0, 1].map((n) => putPartition(partitionOf({ partition: partitionIndex(n) }))),
    );
    expect(parts.delta.partitions).toEqual([]);
    expect(listPartitions(parts.image, ordersId)).toEqual([]);
    const whole = applyChanges(parts.image, [putTopic(topicOf({ partitions: 2 }))]);
    expect(whole.delta.topics).toHaveLength(1);
    expect(whole.delta.partitions.map(({ before, after }) => [before, after?.partition])).toEqual([
      [undefined, 0],
      [undefined, 1],
    ]);
  });

  it("hides a partition beyond the count of its topic", () => {
    const changes = [putTopic(topicOf({ partitions: 1 })), putPartition(partitionOf({ partition: partitionIndex(1) }))];
    const { image, delta } = applyChanges(emptyImage, changes);
    expect(findPartition(image, ordersId, partitionIndex(1))).toBeUndefined();
    expect(delta.partitions).toEqual([]);
  });

  it("makes a topic's partitions vanish at once with its name", () => {
    const before = applyChanges(emptyImage, [putPartition(partitionOf()), putTopic(topicOf())]).image;
    const { image, delta } = applyChanges(before, [removal({ kind: "topic", name: "orders" })]);
    expect(findTopic(image, "orders")).toBeUndefined();
    expect(delta.partitions).toHaveLength(1);
    expect(delta.partitions[0]?.after).toBeUndefined();
  });

  it("tells a topic made again under the same name as another one", () => {
    const before = applyChanges(emptyImage, [putPartition(partitionOf()), putTopic(topicOf())]).image;
    const { image, delta } = applyChanges(before, [putTopic(topicOf({ topicId: idOf(9) }))]);
    expect(findTopic(image, "orders")?.topicId).toBe(idOf(9));
    expect(delta.topics).toHaveLength(2);
    expect(delta.partitions[0]?.after).toBeUndefined();
  });

  it("says nothing of a snapshot that holds what is known", () => {
    const before = applyChanges(emptyImage, [
      putSession(sessionOf(1)),
      putPartition(partitionOf()),
      putTopic(topicOf()),
    ]);
    const copies = structuredCopies(imageToChanges(before.image));
    const { delta } = replaceImage(before.image, copies);
    expect({ ...delta }).toEqual({
      cluster: false,
      controller: false,
      sessions: [],
      topics: [],
      partitions: [],
      deletedTopics: [],
    });
  });

  it("takes a malformed key for absent and remembers it until it is written again", () => {
    const malformed: MetadataChange = { kind: "malformed", key: { kind: "topic", name: "orders" }, message: "no JSON" };
    const before = applyChanges(emptyImage, [putTopic(topicOf())]).image;
    const broken = applyChanges(before, [malformed]).image;
    expect(findTopic(broken, "orders")).toBeUndefined();
    expect([...broken.malformed]).toEqual([["/topics/orders", "no JSON"]]);
    expect(plain(replaceImage(before, [malformed]).image)).toEqual(plain(broken));
    const mended = applyChanges(broken, [putTopic(topicOf())]).image;
    expect(mended.malformed.size).toBe(0);
  });
});

type Changes = ReturnType<typeof applyChanges>["delta"]["partitions"];

/** What is visible in an image after what a delta tells, as sorted text. */
function visible(before: MetadataImage, changes: Changes): readonly string[] {
  const keys = new Map(allPartitions(before));
  for (const { before: was, after: is } of changes) {
    const one = is ?? was;
    if (one === undefined) continue;
    const key = `${one.topicId}/${one.partition}`;
    if (is === undefined) keys.delete(key);
    else keys.set(key, `${key} ${is.partitionEpoch}`);
  }
  return [...keys.values()].sort();
}

function listed(image: MetadataImage): readonly string[] {
  return allPartitions(image)
    .map(([, text]) => text)
    .sort();
}

function allPartitions(image: MetadataImage): readonly (readonly [string, string])[] {
  return Array.from(entriesOf(image.topics), ([id]) => listPartitions(image, id)).flatMap((partitions) =>
    partitions.map((p) => [`${p.topicId}/${p.partition}`, `${p.topicId}/${p.partition} ${p.partitionEpoch}`] as const),
  );
}

/** The same values in other objects. */
function structuredCopies(changes: readonly MetadataChange[]): readonly MetadataChange[] {
  return changes.map((change) =>
    "value" in change ? { ...change, value: structuredCopy(change.value) } : change,
  ) as never;
}

function structuredCopy(value: unknown): unknown {
  if (value instanceof Map) return new Map(value);
  if (Array.isArray(value)) return value.map(structuredCopy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, structuredCopy(field)]));
}
