import type { ControllerEpoch } from "@tidemark/ids";
import { type MetadataChange, putTopic } from "./change.ts";
import { minIsrInForce, unknownTopic } from "./create-topic.ts";
import { type Decision, decided } from "./decision.ts";
import { equalValues } from "./equal-values.ts";
import type { MetadataEvent } from "./events.ts";
import { mayHaveFlushedAsync } from "./flush-mode.ts";
import { eachPartition, findTopic, listPartitions, type MetadataImage } from "./image.ts";
import type { Topic } from "./model.ts";
import { changePartition } from "./partition-change.ts";

/**
 * Gives a topic other settings. A change of `min.insync.replicas` changes the min ISR in force of each partition, with
 * its partition epoch and its ELR (R4, R13); the topic's own key comes last, so that a repeat completes what a crash
 * left half. The answer is the topic.
 */
export function configureTopic(
  image: MetadataImage,
  command: {
    readonly name: string;
    /** All settings that shall differ from the defaults, checked already. */
    readonly settings: ReadonlyMap<string, string>;
    /** `min.insync.replicas` as it is in effect with them. */
    readonly minInsyncReplicas: number;
  },
  controllerEpoch: ControllerEpoch,
): Decision<Topic> {
  const before = findTopic(image, command.name);
  if (before === undefined) return unknownTopic(command.name);
  const topic: Topic = {
    ...before,
    settings: command.settings,
    ...(wasAsync(image, before) ? { wasAsync: true } : {}),
  };
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  for (const partition of listPartitions(image, topic.topicId)) {
    const minIsr = minIsrInForce(command.minInsyncReplicas, partition.replicas.length);
    if (minIsr === partition.minIsr) continue;
    const { isr, leader } = partition;
    changes.push(changePartition(topic, partition, { isr, leader, minIsr }, controllerEpoch).change);
  }
  if (!equalValues(before, topic)) {
    changes.push(putTopic(topic));
    events.push({ kind: "topicConfigured", topicId: topic.topicId, topic: topic.name });
  }
  return decided(topic, changes, events);
}

/**
 * Brings the min ISR in force of every partition to what the settings say: a controller that died in the middle of a
 * change left some partitions with the new one and the topic with its old settings.
 */
export function repairMinIsr(
  image: MetadataImage,
  defaults: { readonly minInsyncReplicas: number },
  controllerEpoch: ControllerEpoch,
): Decision<undefined> {
  const changes: MetadataChange[] = [];
  for (const { topic, partition } of eachPartition(image)) {
    const own = topic.settings.get("min.insync.replicas");
    const inEffect = own === undefined ? defaults.minInsyncReplicas : Number(own);
    const minIsr = minIsrInForce(inEffect, partition.replicas.length);
    if (minIsr === partition.minIsr) continue;
    const { isr, leader } = partition;
    changes.push(changePartition(topic, partition, { isr, leader, minIsr }, controllerEpoch).change);
  }
  return decided(undefined, changes);
}

/** Whether `flush=async` is in force for some replica of a topic, by its own setting or that replica's broker (D8). */
function wasAsync(image: MetadataImage, topic: Topic): boolean {
  return listPartitions(image, topic.topicId).some(({ replicas }) =>
    replicas.some(({ brokerId }) => {
      const broker = image.knownBrokers.get(brokerId);
      return broker !== undefined && mayHaveFlushedAsync(topic, broker);
    }),
  );
}
