import {
  type ControllerEpoch,
  leaderEpoch,
  offset,
  type PartitionIndex,
  partitionEpoch,
  partitionIndex,
  type TopicId,
} from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { formatDomainKey, type MetadataChange, putPartition, putTopic } from "./change.ts";
import { type Decision, type Draw, decided, type Refusal, refused } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { eachPartition, findTopic, listPartitions, type MetadataImage } from "./image.ts";
import type { BrokerSession, Partition, Replica, Topic } from "./model.ts";
import { valuesOf } from "./persistent-map.ts";
import { placePartitions } from "./placement.ts";
import { topicNameProblem } from "./topic-name.ts";

/** What a cluster holds at most. */
export interface ClusterLimits {
  readonly topicsMax: number;
  readonly partitionsMax: number;
}

export interface CreateTopicCommand {
  readonly name: string;
  /** Made for this topic; no topic ever had it. */
  readonly topicId: TopicId;
  readonly partitions: number;
  /** Undefined: `defaultReplicationFactor`, or as many as there are running brokers if that is less. */
  readonly replicationFactor: number | undefined;
  readonly defaultReplicationFactor: number;
  /** `min.insync.replicas` as it is in effect for this topic. */
  readonly minInsyncReplicas: { readonly value: number; readonly isExplicit: boolean };
  /** Checked already. */
  readonly settings: ReadonlyMap<string, string>;
}

export interface PlacementContext {
  readonly controllerEpoch: ControllerEpoch;
  readonly limits: ClusterLimits;
  readonly draw: Draw;
}

/**
 * Makes a topic: its partitions first and its name last, so that it is not seen before it is whole, in however many
 * batches that is committed. The answer is the topic.
 */
export function createTopic(
  image: MetadataImage,
  command: CreateTopicCommand,
  context: PlacementContext,
): Decision<Topic> {
  const { name } = command;
  const nameProblem = topicNameProblem(name);
  if (nameProblem !== undefined) return refused(Reason.INVALID_TOPIC_NAME, nameProblem, { topic: name });
  const key = formatDomainKey({ kind: "topic", name });
  if (findTopic(image, name) !== undefined || image.malformed.has(key)) {
    return refused(Reason.TOPIC_EXISTS, `Topic ${name} exists`, { topic: name });
  }
  const brokers = placeableBrokers(image);
  const factor = effectiveReplicationFactor(command, brokers.length);
  const problem = replicationProblem(command, factor, brokers.length);
  if (problem !== undefined) return { kind: "refused", refusal: { ...problem, topic: name } };
  const room = roomProblem(image, { topics: 1, partitions: command.partitions }, context.limits);
  if (room !== undefined) return refused(Reason.INVALID_ARGUMENT, room, { topic: name });

  const { topicId, partitions, settings } = command;
  const topic: Topic = { name, topicId, partitions, replicationFactor: factor, settings };
  const minIsr = minIsrInForce(command.minInsyncReplicas.value, factor);
  const made = placeNewPartitions(image, topic, { from: 0, minIsr }, context);
  return decided(
    topic,
    [...made.changes, putTopic(topic)],
    [{ kind: "topicCreated", topicId, topic: name, partitions, replicationFactor: factor }, ...made.events],
  );
}

/** Adds partitions to a topic up to the count `partitions`; the topic counts them last. The answer is the topic. */
export function addPartitions(
  image: MetadataImage,
  command: { readonly name: string; readonly partitions: number },
  context: PlacementContext,
): Decision<Topic> {
  const { name } = command;
  const before = findTopic(image, name);
  if (before === undefined) return unknownTopic(name);
  if (command.partitions <= before.partitions) {
    const text = `Topic ${name} has ${before.partitions} partitions; name a higher count, since none are removed`;
    return refused(Reason.INVALID_ARGUMENT, text, { topic: name });
  }
  const brokers = placeableBrokers(image);
  if (brokers.length < before.replicationFactor) {
    const text = `${before.replicationFactor} replicas need as many brokers, and ${brokers.length} are running`;
    return refused(Reason.INVALID_REPLICATION_FACTOR, text, { topic: name });
  }
  const added = command.partitions - before.partitions;
  const room = roomProblem(image, { topics: 0, partitions: added }, context.limits);
  if (room !== undefined) return refused(Reason.INVALID_ARGUMENT, room, { topic: name });

  const topic: Topic = { ...before, partitions: command.partitions };
  const minIsr = listPartitions(image, before.topicId)[0]?.minIsr ?? 1;
  const made = placeNewPartitions(image, topic, { from: before.partitions, minIsr }, context);
  const { topicId, partitions } = topic;
  const event: MetadataEvent = { kind: "partitionsAdded", topicId, topic: name, partitions };
  return decided(topic, [...made.changes, putTopic(topic)], [event, ...made.events]);
}

/** The min ISR in force (R4): what is set, or the replication factor if that is less. */
export function minIsrInForce(minInsyncReplicas: number, replicationFactor: number): number {
  return Math.max(1, Math.min(minInsyncReplicas, replicationFactor));
}

/** The refusal of a call about a topic that does not exist; it says the call that makes it. */
export function unknownTopic(name: string): { readonly kind: "refused"; readonly refusal: Refusal } {
  const problem = topicNameProblem(name);
  if (problem !== undefined) return refused(Reason.INVALID_TOPIC_NAME, problem, { topic: name });
  const call = `AdminService/CreateTopic {"topic":${JSON.stringify(name)}}`;
  return refused(Reason.UNKNOWN_TOPIC, `There is no topic ${name}. ${call} makes it`, { topic: name });
}

/** Brokers that new replicas may be given to, in the order of their ids. */
function placeableBrokers(image: MetadataImage): readonly BrokerSession[] {
  return [...image.sessions.values()]
    .filter((session) => session.state === "running")
    .sort((a, b) => a.brokerId - b.brokerId);
}

function effectiveReplicationFactor(command: CreateTopicCommand, brokers: number): number {
  return command.replicationFactor ?? Math.min(command.defaultReplicationFactor, Math.max(1, brokers));
}

function replicationProblem(command: CreateTopicCommand, factor: number, brokers: number): Refusal | undefined {
  const because = (reason: Reason, message: string) => ({ reason, message });
  if (command.partitions < 1) return because(Reason.INVALID_ARGUMENT, "A topic has at least one partition");
  if (factor < 1) return because(Reason.INVALID_REPLICATION_FACTOR, "A partition has at least one replica");
  if (factor > brokers) {
    const text = `Replication factor ${factor} needs as many running brokers, and there are ${brokers}`;
    return because(Reason.INVALID_REPLICATION_FACTOR, text);
  }
  const { value, isExplicit } = command.minInsyncReplicas;
  if (isExplicit && command.replicationFactor !== undefined && value > factor) {
    const text = `min.insync.replicas ${value} is above the replication factor ${factor}: nothing could be written`;
    return because(Reason.INVALID_CONFIG, text);
  }
  return undefined;
}

function roomProblem(
  image: MetadataImage,
  more: { readonly topics: number; readonly partitions: number },
  limits: ClusterLimits,
): string | undefined {
  if (image.topicIds.size + more.topics > limits.topicsMax) return `A cluster has at most ${limits.topicsMax} topics`;
  let partitions = 0;
  for (const { topic } of valuesOf(image.topics)) partitions += topic?.partitions ?? 0;
  if (partitions + more.partitions <= limits.partitionsMax) return undefined;
  return `A cluster has at most ${limits.partitionsMax} partitions; this one has ${partitions}, and ${more.partitions} would come`;
}

function placeNewPartitions(
  image: MetadataImage,
  topic: Topic,
  { from, minIsr }: { readonly from: number; readonly minIsr: number },
  context: PlacementContext,
): { readonly changes: readonly MetadataChange[]; readonly events: readonly MetadataEvent[] } {
  const placed = placePartitions({
    partitions: topic.partitions - from,
    replicationFactor: topic.replicationFactor,
    brokers: placeableBrokers(image),
    ownPartitions: listPartitions(image, topic.topicId),
    allPartitions: Array.from(eachPartition(image), ({ partition }) => partition),
    draw: context.draw,
  });
  const partitions = placed.map((replicas, index) =>
    newPartition(topic.topicId, partitionIndex(from + index), { replicas, minIsr }, context.controllerEpoch),
  );
  return {
    changes: partitions.map(putPartition),
    events: partitions.map((partition) => electedAtCreation(topic, partition)),
  };
}

/** A partition as it begins: every replica in sync (with nothing), the first one leads, all epochs 0. */
function newPartition(
  topicId: TopicId,
  partition: PartitionIndex,
  { replicas, minIsr }: { readonly replicas: readonly Replica[]; readonly minIsr: number },
  controllerEpoch: ControllerEpoch,
): Partition {
  return {
    topicId,
    partition,
    replicas,
    isr: replicas.map((replica) => replica.brokerId),
    elr: [],
    minIsr,
    leader: replicas[0]?.brokerId,
    leaderEpoch: leaderEpoch(0),
    partitionEpoch: partitionEpoch(0),
    controllerEpoch,
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
}

function electedAtCreation(topic: Topic, partition: Partition): MetadataEvent {
  const { topicId, leader, leaderEpoch: epoch, isr, elr } = partition;
  return {
    kind: "elected",
    topicId,
    topic: topic.name,
    partition: partition.partition,
    cause: "topic created",
    rule: "created",
    oldLeader: undefined,
    newLeader: leader,
    leaderEpoch: epoch,
    isr,
    elr,
  };
}
