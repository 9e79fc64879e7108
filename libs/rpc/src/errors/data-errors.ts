/** What brokers, gateways and the SDK say of topics, partitions and batches: one text each, with the way out. */
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "./tidemark-error.ts";

/** A partition as people name it. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** REASON_INVALID_ARGUMENT. `message`: what is wrong with which field, and what to send instead. */
export function invalidArgument(message: string): TidemarkError {
  return new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message });
}

/** REASON_UNKNOWN_TOPIC, retriable: a topic is not known everywhere at the moment it is made. */
export function unknownTopic(topic: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC,
    message:
      `There is no topic ${JSON.stringify(topic)}. Create it with tidemark.admin.v1.AdminService/CreateTopic, ` +
      "or with `tidemark topic create`.",
    topic,
  });
}

/** REASON_UNKNOWN_TOPIC_ID: the name stands for another topic than the caller means. */
export function unknownTopicId(topic: string, topicId: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC_ID,
    message: `Topic ${JSON.stringify(topic)} does not have the id ${topicId}: it was deleted, or made again.`,
    topic,
  });
}

/** REASON_UNKNOWN_PARTITION. `partitions`: how many the topic has. */
export function unknownPartition({ topic, partition }: Place, partitions: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_PARTITION,
    message: `Topic ${topic} has the partitions 0 to ${partitions - 1}, and no ${partition}.`,
    topic,
    partition,
  });
}

/** REASON_MESSAGE_TOO_LARGE. `bytesMax`: the topic's `max.message.bytes`. */
export function batchTooLarge(place: Place, bytes: number, bytesMax: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message:
      `A batch of ${bytes} bytes is above max.message.bytes = ${bytesMax} of topic ${place.topic}: ` +
      "send less at once, or raise the setting.",
    ...place,
  });
}

/** REASON_CORRUPT_BATCH. `what`: what is wrong with it, without a full stop. */
export function corruptBatch(place: Place, what: string): TidemarkError {
  return new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: `The batch was refused: ${what}.`, ...place });
}

/** REASON_UNSUPPORTED_CODEC. A codec's number that stands in a batch and means nothing. */
export function unknownCodec(place: Place, codecId: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNSUPPORTED_CODEC,
    message: `Codec ${codecId} does not exist; there are none, gzip, snappy, lz4 and zstd (0 to 4).`,
    ...place,
  });
}

/** REASON_UNSUPPORTED_CODEC. A codec that was asked for and that this process cannot load. `known`: those that it can. */
export function unavailableCodec(name: string, known: readonly string[]): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNSUPPORTED_CODEC,
    message: `Codec ${name} is not available here; there are ${known.join(", ")}.`,
  });
}

/** REASON_INVALID_RECORD. `index`: of the record among those of the partition in the request. */
export function invalidRecord(place: Place, index: number, why: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.INVALID_RECORD,
    message: `Record ${index} of those for partition ${place.partition} cannot be stored: ${why}.`,
    ...place,
  });
}
