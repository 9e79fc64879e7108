/** The errors that a gateway finds by itself, each with the way out. */
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";

/** A partition as people name it. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export function invalidArgument(message: string): TidemarkError {
  return new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message });
}

export function unknownTopic(topic: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC,
    message:
      `There is no topic ${JSON.stringify(topic)}. Create it with tidemark.admin.v1.AdminService/CreateTopic, ` +
      "or with `tidemark topic create`.",
    topic,
  });
}

export function unknownTopicId(topic: string, topicId: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC_ID,
    message: `Topic ${JSON.stringify(topic)} does not have the id ${topicId}: it was deleted, or made again.`,
    topic,
  });
}

export function unknownPartition({ topic, partition }: Place, partitions: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_PARTITION,
    message: `Topic ${topic} has the partitions 0 to ${partitions - 1}, and no ${partition}.`,
    topic,
    partition,
  });
}

export function leaderNotAvailable({ topic, partition }: Place): TidemarkError {
  return new TidemarkError({
    reason: Reason.LEADER_NOT_AVAILABLE,
    message: `Partition ${topic}-${partition} has no leader that can be reached now. An election needs an eligible replica.`,
    topic,
    partition,
  });
}

/** A leader answered well and said nothing of the partition it was asked for: a defect on its side. */
export function missingAnswer({ topic, partition }: Place, endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.INTERNAL,
    message: `The broker at ${endpoint} said nothing of ${topic}-${partition}.`,
    topic,
    partition,
  });
}

export function batchTooLarge(place: Place, bytes: number, bytesMax: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message:
      `A batch of ${bytes} bytes is above max.message.bytes = ${bytesMax} of topic ${place.topic}: ` +
      "send less at once, or raise the setting.",
    ...place,
  });
}

export function corruptBatch(place: Place, what: string): TidemarkError {
  return new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: `The batch was refused: ${what}.`, ...place });
}
