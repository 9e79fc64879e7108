/**
 * Applying changes to an image: the one function by which active controllers, standbys, brokers and gateways follow
 * the metadata. It has no side effect and fails on nothing.
 */
import type { TopicId } from "@tidemark/ids";
import { formatDomainKey, keyOfChange, type MetadataChange, putReceipt, removal, type ValueChange } from "./change.ts";
import { deltaBetween, type MetadataDelta } from "./delta.ts";
import { emptyImage, type MetadataImage, receiptId, type TopicEntry } from "./image.ts";
import type { Topic } from "./model.ts";
import {
  emptyMap,
  entriesOf,
  lookup,
  type PersistentMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from "./persistent-map.ts";

/** The image after some changes, and what they changed in it. */
export interface Applied {
  readonly image: MetadataImage;
  readonly delta: MetadataDelta;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** Applies changes in their order; a later one of the same key wins. */
export function applyChanges(before: MetadataImage, changes: readonly MetadataChange[]): Applied {
  const image: Mutable<MetadataImage> = { ...before };
  const touched = new Set<TopicId>();
  for (const change of changes) {
    noteMalformed(image, change);
    applyOne(image, change.kind === "malformed" ? removal(change.key) : change, touched);
  }
  return { image, delta: deltaBetween(before, image, touched) };
}

/** Replaces an image by the one that a snapshot holds; the delta tells removals too. */
export function replaceImage(before: MetadataImage, entries: readonly MetadataChange[]): Applied {
  const { image } = applyChanges(emptyImage, entries);
  const touched = new Set<TopicId>();
  for (const map of [before.topics, image.topics]) for (const [id] of entriesOf(map)) touched.add(id);
  return { image, delta: deltaBetween(before, image, touched) };
}

/** Everything in an image as changes that make it from the empty one; each key once. Topics come after their parts. */
export function imageToChanges(image: MetadataImage): readonly MetadataChange[] {
  const changes: MetadataChange[] = [];
  const put = (change: MetadataChange) => changes.push(change);
  if (image.cluster !== undefined) put({ kind: "cluster", value: image.cluster });
  if (image.controller !== undefined) put({ kind: "controller", value: image.controller });
  for (const value of image.knownBrokers.values()) put({ kind: "knownBroker", brokerId: value.brokerId, value });
  for (const value of image.sessions.values()) put({ kind: "brokerSession", brokerId: value.brokerId, value });
  for (const [topicId, entry] of entriesOf(image.topics)) {
    for (const [partition, value] of entriesOf(entry.partitions)) put({ kind: "partition", topicId, partition, value });
    if (entry.topic !== undefined) put({ kind: "topic", name: entry.topic.name, value: entry.topic });
  }
  for (const value of valuesOf(image.deletedTopics)) put({ kind: "deletedTopic", topicId: value.topicId, value });
  for (const value of valuesOf(image.receipts)) put(putReceipt(value));
  if (image.producerIds !== undefined) put({ kind: "producerIds", value: image.producerIds });
  return changes;
}

function applyOne(image: Mutable<MetadataImage>, change: ValueChange, touched: Set<TopicId>): void {
  switch (change.kind) {
    case "cluster":
      image.cluster = change.value;
      return;
    case "controller":
      image.controller = change.value;
      return;
    case "producerIds":
      image.producerIds = change.value;
      return;
    case "brokerSession":
      image.sessions = withKey(image.sessions, change.brokerId, change.value);
      return;
    case "knownBroker":
      image.knownBrokers = withKey(image.knownBrokers, change.brokerId, change.value);
      return;
    case "deletedTopic":
      image.deletedTopics = withValue(image.deletedTopics, change.topicId, change.value);
      return;
    case "receipt":
      image.receipts = withValue(image.receipts, receiptId(change), change.value);
      return;
    case "partition":
      touched.add(change.topicId);
      putEntry(image, change.topicId, (entry) => ({
        ...entry,
        partitions: withValue(entry.partitions, change.partition, change.value),
      }));
      return;
    case "topic":
      applyTopic(image, change.name, change.value, touched);
  }
}

function applyTopic(
  image: Mutable<MetadataImage>,
  name: string,
  topic: Topic | undefined,
  touched: Set<TopicId>,
): void {
  const oldId = lookup(image.topicIds, name);
  if (oldId !== undefined && oldId !== topic?.topicId) {
    touched.add(oldId);
    putEntry(image, oldId, (entry) => ({ ...entry, topic: undefined }));
  }
  if (topic === undefined) {
    image.topicIds = withoutEntry(image.topicIds, name);
    return;
  }
  touched.add(topic.topicId);
  image.topicIds = withEntry(image.topicIds, name, topic.topicId);
  putEntry(image, topic.topicId, (entry) => ({ ...entry, topic }));
}

/** Changes what stands under a topic id; an entry in which nothing is left goes. */
function putEntry(image: Mutable<MetadataImage>, id: TopicId, change: (entry: TopicEntry) => TopicEntry): void {
  const before = lookup(image.topics, id) ?? { topicId: id, topic: undefined, partitions: emptyMap() };
  const after = change(before);
  const isEmpty = after.topic === undefined && after.partitions.size === 0;
  image.topics = isEmpty ? withoutEntry(image.topics, id) : withEntry(image.topics, id, after);
}

function withValue<Key extends string | number, Value>(
  map: PersistentMap<Key, Value>,
  key: Key,
  value: Value | undefined,
): PersistentMap<Key, Value> {
  return value === undefined ? withoutEntry(map, key) : withEntry(map, key, value);
}

function withKey<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value | undefined): Map<Key, Value> {
  const copy = new Map(map);
  if (value === undefined) copy.delete(key);
  else copy.set(key, value);
  return copy;
}

function noteMalformed(image: Mutable<MetadataImage>, change: MetadataChange): void {
  if (change.kind !== "malformed" && image.malformed.size === 0) return;
  const text = formatDomainKey(keyOfChange(change));
  image.malformed = withKey(image.malformed, text, change.kind === "malformed" ? change.message : undefined);
}
