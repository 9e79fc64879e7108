import type { PartitionIndex } from "@tidemark/ids";
import { unknownTopic } from "./create-topic.ts";
import type { Decision } from "./decision.ts";
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

/** The partitions that a selection names, each once. Refused where there is no topic of the name. */
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
  return [...new Set(selection.partitions)].map((index) => ({
    topic,
    partition: index,
    state: partitions.find((each) => each.partition === index),
  }));
}
