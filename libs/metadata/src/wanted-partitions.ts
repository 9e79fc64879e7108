import type { PartitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { unknownTopic } from "./create-topic.ts";
import { type Decision, refused } from "./decision.ts";
import { eachPartition, findTopic, listPartitions, type MetadataImage } from "./image.ts";
import type { Partition, Topic } from "./model.ts";

/** Which partitions a call is about. */
export interface PartitionSelection {
  /** Undefined: every topic. */
  readonly name: string | undefined;
  /** Undefined: every partition. */
  readonly partitions: readonly PartitionIndex[] | undefined;
}

export interface WantedPartition {
  readonly topic: Topic;
  readonly partition: PartitionIndex;
  /** Undefined where the topic has no such partition. */
  readonly state: Partition | undefined;
}

/** Partitions that one call may name: as many as a cluster has at most by default (`max.partitions`). */
const namedMax = 50_000;

/** The partitions that a selection names, each once. Refused where there is no topic of the name, or too many are named. */
export function wantedPartitions(
  image: MetadataImage,
  selection: PartitionSelection,
): readonly WantedPartition[] | Extract<Decision<never>, { kind: "refused" }> {
  if (selection.name === undefined) {
    return Array.from(eachPartition(image), ({ topic, partition }) => ({
      topic,
      partition: partition.partition,
      state: partition,
    }));
  }
  const topic = findTopic(image, selection.name);
  if (topic === undefined) return unknownTopic(selection.name);
  const partitions = listPartitions(image, topic.topicId);
  if (selection.partitions === undefined) {
    return partitions.map((state) => ({ topic, partition: state.partition, state }));
  }
  if (selection.partitions.length > namedMax) {
    const text = `${selection.partitions.length} partitions are named; name ${namedMax} at most, or none for all of them`;
    return refused(Reason.INVALID_ARGUMENT, text, { topic: topic.name });
  }
  const states = new Map(partitions.map((state) => [state.partition, state]));
  return [...new Set(selection.partitions)].map((index) => ({ topic, partition: index, state: states.get(index) }));
}
