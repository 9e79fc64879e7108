/** What one step changed in an image, as far as anybody acts on it. */
import type { PartitionIndex, TopicId } from "@tidemark/ids";
import { equalValues } from "./equal-values.ts";
import { type MetadataImage, type TopicEntry, visiblePartition } from "./image.ts";
import type { BrokerSession, DeletedTopic, Partition, Topic } from "./model.ts";
import { emptyMap, keysThatDiffer, lookup, type PersistentMap } from "./persistent-map.ts";

/** One value before and after. At least one of them is defined. */
export interface Changed<Value> {
  readonly before: Value | undefined;
  readonly after: Value | undefined;
}

/**
 * Topics and partitions are told as they become visible: the partitions of a new topic all at once with its name, those
 * of a deleted one at once when its name goes, in however many batches they were written.
 */
export interface MetadataDelta {
  readonly cluster: boolean;
  readonly controller: boolean;
  readonly sessions: readonly Changed<BrokerSession>[];
  readonly topics: readonly Changed<Topic>[];
  readonly partitions: readonly Changed<Partition>[];
  readonly deletedTopics: readonly Changed<DeletedTopic>[];
}

/** The delta between two images of which only the entries of `touched` topics may differ. */
export function deltaBetween(
  before: MetadataImage,
  after: MetadataImage,
  touched: ReadonlySet<TopicId>,
): MetadataDelta {
  const topics: Changed<Topic>[] = [];
  const partitions: Changed<Partition>[] = [];
  for (const id of touched) {
    const entries = { before: lookup(before.topics, id), after: lookup(after.topics, id) };
    if (!equalValues(entries.before?.topic, entries.after?.topic)) {
      topics.push({ before: entries.before?.topic, after: entries.after?.topic });
    }
    partitions.push(...changedPartitions(entries));
  }
  const deletedTopics: Changed<DeletedTopic>[] = [];
  for (const id of keysThatDiffer(before.deletedTopics, after.deletedTopics)) {
    pushChanged(deletedTopics, lookup(before.deletedTopics, id), lookup(after.deletedTopics, id));
  }
  return {
    cluster: !equalValues(before.cluster, after.cluster),
    controller: !equalValues(before.controller, after.controller),
    sessions: changedSessions(before, after),
    topics,
    partitions,
    deletedTopics,
  };
}

function changedSessions(before: MetadataImage, after: MetadataImage): readonly Changed<BrokerSession>[] {
  const changed: Changed<BrokerSession>[] = [];
  if (before.sessions === after.sessions) return changed;
  for (const id of new Set([...before.sessions.keys(), ...after.sessions.keys()])) {
    pushChanged(changed, before.sessions.get(id), after.sessions.get(id));
  }
  return changed;
}

function changedPartitions(entries: Changed<TopicEntry>): readonly Changed<Partition>[] {
  type Partitions = PersistentMap<PartitionIndex, Partition>;
  const before: Partitions = entries.before?.partitions ?? emptyMap();
  const after: Partitions = entries.after?.partitions ?? emptyMap();
  const indices: Iterable<PartitionIndex> =
    entries.before?.topic === entries.after?.topic
      ? keysThatDiffer(before, after)
      : new Set([before, after].flatMap((map) => map.buckets.flatMap((bucket) => [...bucket.keys()])));
  const changed: Changed<Partition>[] = [];
  for (const index of indices) {
    pushChanged(
      changed,
      entries.before === undefined ? undefined : visiblePartition(entries.before, index),
      entries.after === undefined ? undefined : visiblePartition(entries.after, index),
    );
  }
  return changed.sort((a, b) => indexOf(a) - indexOf(b));
}

function indexOf(changed: Changed<Partition>): number {
  return (changed.after ?? changed.before)?.partition ?? 0;
}

function pushChanged<Value>(to: Changed<Value>[], before: Value | undefined, after: Value | undefined): void {
  if (!equalValues(before, after)) to.push({ before, after });
}
