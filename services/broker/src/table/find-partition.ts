/** Which partition a request means, and whom it has to ask instead. */
import type { BrokerId, PartitionIndex } from "@tidemark/ids";
import { findPartition, findTopic, type MetadataImage } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { invalidArgument, unknownPartition, unknownTopic } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import { type HintedLeader, metadataRegressed, notLeader } from "../partition/refusal-error.ts";
import { heldOf, type TableState } from "./table-state.ts";

export interface PartitionRequest {
  readonly topic: string;
  /** Empty: whichever has the name. */
  readonly topicId: string;
  readonly partition: number;
}

/** The partition, led by this broker. Throws a TidemarkError: unknown, not led here, not open. */
export function findLed(table: TableState, request: PartitionRequest): Partition {
  return find(table, request, true);
}

/** The partition, if this broker has a replica of it that is open. Throws a TidemarkError otherwise. */
export function findHeld(table: TableState, request: PartitionRequest): Partition {
  return find(table, request, false);
}

function find(table: TableState, request: PartitionRequest, mustLead: boolean): Partition {
  if (request.topic === "") throw invalidArgument("topic is empty; name the topic");
  const image = table.update?.image;
  const topic = image === undefined ? undefined : findTopic(image, request.topic);
  if (image === undefined || topic === undefined) throw unknownTopic(request.topic);
  if (request.topicId !== "" && request.topicId !== topic.topicId) {
    throw new TidemarkError({
      reason: Reason.UNKNOWN_TOPIC_ID,
      message: `The topic ${request.topic} has the id ${topic.topicId}, not ${request.topicId}: it was made again`,
      topic: request.topic,
    });
  }
  const record = findPartition(image, topic.topicId, request.partition as PartitionIndex);
  if (record === undefined) throw unknownPartition(request, topic.partitions);
  const held = heldOf(table, { topicId: topic.topicId, partition: record.partition });
  const isAssigned = record.replicas.some((each) => each.brokerId === table.self);
  if (mustLead && record.regressedFrom !== undefined) {
    throw metadataRegressed({ topic: request.topic, partition: request.partition, outcome: Outcome.NOT_APPLIED });
  }
  if ((mustLead && record.leader !== table.self) || !isAssigned) {
    const { leader, leaderEpoch } = record;
    throw notLeader({
      topic: request.topic,
      index: request.partition,
      hint: { leader, leaderEpoch },
      outcome: Outcome.NOT_APPLIED,
      leaderOf: (broker) => leaderIn(image, broker),
    });
  }
  switch (held?.state.kind) {
    case "open":
      return held.state.partition;
    case "damaged":
      throw outOfService(request, `it is damaged: ${held.state.damage.detail}`);
    case "misplaced":
      throw outOfService(request, `it lies in the log directory ${held.state.directoryId}, which is not there`);
    case "failed":
      throw outOfService(request, held.state.message);
    default:
      throw new TidemarkError({
        reason: Reason.LEADER_NOT_AVAILABLE,
        message: `Broker ${table.self} is about to open ${request.topic}-${request.partition}; retry in a moment`,
        topic: request.topic,
        partition: request.partition,
      });
  }
}

/** Where clients reach a broker, by its session. */
export function leaderIn(image: MetadataImage, broker: BrokerId): HintedLeader | undefined {
  const endpoint = image.sessions.get(broker)?.endpoints.find((each) => each.listener === "client");
  return endpoint === undefined ? undefined : { broker, endpoint: `${endpoint.host}:${endpoint.port}` };
}

function outOfService({ topic, partition }: PartitionRequest, why: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.LOG_DIRECTORY_FAILED,
    message: `The log of ${topic}-${partition} on this broker is out of service: ${why}`,
    outcome: Outcome.NOT_APPLIED,
    topic,
    partition,
  });
}
