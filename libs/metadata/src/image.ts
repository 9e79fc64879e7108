/**
 * The metadata at one revision, in memory: the same on the active controller, a standby, a broker and a gateway that
 * applied the same changes. An image never changes; `applyChanges` makes the next one.
 */
import type { BrokerId, PartitionIndex, TopicId } from "@tidemark/ids";
import type {
  ActiveController,
  BrokerSession,
  Cluster,
  DeletedTopic,
  KnownBroker,
  Partition,
  ProducerIds,
  Receipt,
  Topic,
} from "./model.ts";
import { emptyMap, lookup, type PersistentMap, valuesOf } from "./persistent-map.ts";

export interface MetadataImage {
  readonly cluster: Cluster | undefined;
  readonly controller: ActiveController | undefined;
  /** Living sessions. */
  readonly sessions: ReadonlyMap<BrokerId, BrokerSession>;
  readonly knownBrokers: ReadonlyMap<BrokerId, KnownBroker>;
  readonly topicIds: PersistentMap<string, TopicId>;
  /** Everything under a topic id, also while the topic's own key is missing. */
  readonly topics: PersistentMap<TopicId, TopicEntry>;
  readonly deletedTopics: PersistentMap<TopicId, DeletedTopic>;
  /** The last unclean election of each partition that ever had one, by `receiptId`. */
  readonly receipts: PersistentMap<string, Receipt>;
  readonly producerIds: ProducerIds | undefined;
  /** Keys whose value cannot be read, with what is wrong. They count as absent; nothing is concluded from that. */
  readonly malformed: ReadonlyMap<string, string>;
}

/** What stands under one topic id. */
export interface TopicEntry {
  readonly topicId: TopicId;
  /** Undefined while the topic is being made (its name comes last) or deleted (its name goes first). */
  readonly topic: Topic | undefined;
  readonly partitions: PersistentMap<PartitionIndex, Partition>;
}

export const emptyImage: MetadataImage = {
  cluster: undefined,
  controller: undefined,
  sessions: new Map(),
  knownBrokers: new Map(),
  topicIds: emptyMap(),
  topics: emptyMap(),
  deletedTopics: emptyMap(),
  receipts: emptyMap(),
  producerIds: undefined,
  malformed: new Map(),
};

/** The topic of this name. Undefined where there is none. */
export function findTopic(image: MetadataImage, name: string): Topic | undefined {
  const id = lookup(image.topicIds, name);
  return id === undefined ? undefined : findTopicById(image, id);
}

/** The topic of this id. Undefined where there is none. */
export function findTopicById(image: MetadataImage, id: TopicId): Topic | undefined {
  return lookup(image.topics, id)?.topic;
}

/** A partition that is visible: its topic exists and counts it. Undefined otherwise. */
export function findPartition(image: MetadataImage, id: TopicId, index: PartitionIndex): Partition | undefined {
  const entry = lookup(image.topics, id);
  return entry === undefined ? undefined : visiblePartition(entry, index);
}

/** The key of a partition's receipt in an image. */
export function receiptId({ topicId, partition }: Pick<Receipt, "topicId" | "partition">): string {
  return `${topicId}/${partition}`;
}

/** The receipt of a partition's last unclean election. Undefined where there was none. */
export function findReceipt(
  image: MetadataImage,
  of: { readonly topicId: TopicId; readonly partition: PartitionIndex },
): Receipt | undefined {
  return lookup(image.receipts, receiptId(of));
}

/** Every topic, in the order of the names. */
export function listTopics(image: MetadataImage): readonly Topic[] {
  const topics: Topic[] = [];
  for (const entry of valuesOf(image.topics)) if (entry.topic !== undefined) topics.push(entry.topic);
  return topics.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The visible partitions of a topic, in the order of their index. Empty where there is no such topic. */
export function listPartitions(image: MetadataImage, id: TopicId): readonly Partition[] {
  const entry = lookup(image.topics, id);
  return entry === undefined ? [] : visiblePartitions(entry);
}

/** Every visible partition with its topic. The order means nothing. */
export function* eachPartition(
  image: MetadataImage,
): IterableIterator<{ readonly topic: Topic; readonly partition: Partition }> {
  for (const { topic, partitions } of valuesOf(image.topics)) {
    if (topic === undefined) continue;
    for (const partition of valuesOf(partitions)) if (isCounted(topic, partition)) yield { topic, partition };
  }
}

/** Partitions whose topic does not exist or does not count them: parts of what was begun or ended half. */
export function* eachOrphan(image: MetadataImage): IterableIterator<Partition> {
  for (const { topic, partitions } of valuesOf(image.topics)) {
    for (const partition of valuesOf(partitions)) {
      if (topic === undefined || !isCounted(topic, partition)) yield partition;
    }
  }
}

/** The partition of this index in an entry, where its topic counts it. */
export function visiblePartition(entry: TopicEntry, index: PartitionIndex): Partition | undefined {
  const partition = lookup(entry.partitions, index);
  return partition !== undefined && entry.topic !== undefined && isCounted(entry.topic, partition)
    ? partition
    : undefined;
}

/** The partitions of an entry that its topic counts, in the order of their index. */
function visiblePartitions(entry: TopicEntry): readonly Partition[] {
  const { topic } = entry;
  if (topic === undefined) return [];
  const partitions = [...valuesOf(entry.partitions)];
  return partitions.filter((each) => isCounted(topic, each)).sort((a, b) => a.partition - b.partition);
}

function isCounted(topic: Topic, partition: Partition): boolean {
  return partition.partition < topic.partitions;
}
