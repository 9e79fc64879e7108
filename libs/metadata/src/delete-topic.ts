import type { BrokerId, PartitionIndex, TopicId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { type MetadataChange, putDeletedTopic, removal } from "./change.ts";
import { unknownTopic } from "./create-topic.ts";
import { type Decision, decided, refused } from "./decision.ts";
import { eachOrphan, findReceipt, findTopic, findTopicById, type MetadataImage } from "./image.ts";
import { entriesOf, lookup, valuesOf } from "./persistent-map.ts";

/**
 * Deletes a topic: its name first, in one batch with the note that brokers wait for before they delete data (D7), then
 * its partitions. The answer is its id.
 */
export function deleteTopic(
  image: MetadataImage,
  command: { readonly name: string; readonly topicId: TopicId | undefined },
): Decision<TopicId> {
  const { name } = command;
  const topic = findTopic(image, name);
  if (topic === undefined) return nothingToDelete(name);
  const { topicId } = topic;
  if (command.topicId !== undefined && command.topicId !== topicId) {
    const text = `Topic ${name} has the id ${topicId}: it was made again after the one with the id ${command.topicId}`;
    return refused(Reason.UNKNOWN_TOPIC_ID, text, { topic: name });
  }
  const awaited = [...image.knownBrokers.keys()].sort((a, b) => a - b);
  const changes: MetadataChange[] = [removal({ kind: "topic", name })];
  if (awaited.length > 0) changes.unshift(putDeletedTopic({ topicId, name, awaited }));
  for (const partition of partitionKeys(image, topicId)) {
    changes.push(removal({ kind: "partition", topicId, partition }));
    if (findReceipt(image, { topicId, partition }) !== undefined) {
      changes.push(removal({ kind: "receipt", topicId, partition }));
    }
  }
  return decided(topicId, changes, [{ kind: "topicDeleted", topicId, topic: name }]);
}

/** Whoever deletes a topic does not want to be told how it is made. */
function nothingToDelete(name: string): Decision<TopicId> {
  const { refusal } = unknownTopic(name);
  if (refusal.reason !== Reason.UNKNOWN_TOPIC) return { kind: "refused", refusal };
  return refused(Reason.UNKNOWN_TOPIC, `There is no topic ${name}, and nothing was deleted`, { topic: name });
}

/** Notes that a broker has carried out deletions; the last one awaited ends the note. Unknown ids are passed over. */
export function confirmDeletions(
  image: MetadataImage,
  command: { readonly brokerId: BrokerId; readonly topicIds: readonly TopicId[] },
): Decision<undefined> {
  const changes: MetadataChange[] = [];
  for (const topicId of new Set(command.topicIds)) {
    const note = lookup(image.deletedTopics, topicId);
    if (note === undefined || !note.awaited.includes(command.brokerId)) continue;
    const awaited = note.awaited.filter((id) => id !== command.brokerId);
    changes.push(
      awaited.length > 0 ? putDeletedTopic({ ...note, awaited }) : removal({ kind: "deletedTopic", topicId }),
    );
  }
  return decided(undefined, changes);
}

/**
 * Removes partitions that no topic counts, and receipts of topics that are gone: what a controller left that died between the batches of a creation (no name
 * yet) or of a deletion (no name any more). Nobody has acted on them, since only partitions of a topic are visible.
 * While the key of any topic cannot be read nothing is swept: the partitions may be its own.
 */
export function sweepOrphans(image: MetadataImage): Decision<undefined> {
  for (const key of image.malformed.keys()) if (key.startsWith("/topics/")) return decided(undefined);
  const changes: MetadataChange[] = [];
  for (const { topicId, partition } of eachOrphan(image))
    changes.push(removal({ kind: "partition", topicId, partition }));
  const partitions = changes.length;
  for (const { topicId, partition } of valuesOf(image.receipts)) {
    if (findTopicById(image, topicId) === undefined) changes.push(removal({ kind: "receipt", topicId, partition }));
  }
  return changes.length === 0
    ? decided(undefined)
    : decided(undefined, changes, [{ kind: "orphansSwept", partitions }]);
}

/** The partitions under a topic id, also those that the topic does not count. */
function partitionKeys(image: MetadataImage, topicId: TopicId): readonly PartitionIndex[] {
  const entry = lookup(image.topics, topicId);
  return entry === undefined ? [] : Array.from(entriesOf(entry.partitions), ([partition]) => partition);
}
