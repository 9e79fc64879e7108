import type { HeaderDamage } from "./batch-header.ts";
import type { DecodeFailure } from "./decode-records.ts";
import type { BatchStep } from "./iterate-batches.ts";
import { batchHeaderBytes } from "./layout.ts";
import type { BatchRefusal } from "./validate-batch.ts";

/** What is wrong with a batch, as part of a sentence for people: in the field's words, and none of this code's. */
export function explainRefusal(refusal: BatchRefusal): string {
  switch (refusal) {
    case "batchTooLarge":
      return "it is larger than the topic takes";
    case "unusedAttributeBits":
      return "its attributes have bits set that mean nothing";
    case "unknownCodec":
      return "its codec does not exist";
    case "logAppendTimestamp":
      return "its timestamp type is log append time, which only a leader sets";
    case "transactionalBatch":
      return "it is marked as transactional, and there are no transactions";
    case "controlBatch":
      return "it is marked as a control batch, which only a leader writes";
    case "deleteHorizon":
      return "it has a delete horizon, which only a log cleaner sets";
    case "emptyBatch":
      return "it has no records";
    case "recordCountMismatch":
      return "its record count is not its last offset delta plus one";
    case "timestampsOutOfOrder":
      return "its max timestamp is before its base timestamp";
    case "producerFieldsDisagree":
      return "producer id, producer epoch and base sequence are given only in part";
    case "crcMismatch":
      return "its checksum does not match: it was damaged on the way, or encoded wrongly";
  }
}

/** Why the records of a batch cannot be read. */
export function explainDecodeFailure(failure: DecodeFailure): string {
  switch (failure) {
    case "unsupportedCodec":
      return "its codec cannot be loaded here";
    case "decompressedTooLarge":
      return "decompressed they are beyond the limit";
    case "corruptCompression":
      return "they are not what its codec writes";
    case "offsetDeltas":
      return "their offset deltas do not rise, or leave the batch";
    case "trailingBytes":
      return "bytes follow the last of them";
    case "recordLength":
      return "the length of a record is not that of what it holds";
    case "fieldLength":
      return "the length of a key, value or header is not possible";
    case "headerCount":
      return "the count of a record's headers is not possible";
    case "truncated":
      return "they end in the middle of a record";
    case "malformedVarint":
      return "a number in them is no varint";
  }
}

/**
 * Why whole batches end where `stop` says although bytes follow there: a sentence without its end, which names the
 * position. `length`: of all the bytes.
 */
export function explainStop(stop: Exclude<BatchStep, { kind: "ok" | "end" }>, length: number): string {
  const { position } = stop;
  if (stop.kind === "malformed") {
    return `at byte ${position} there is no record batch of version 2: ${explainHeaderDamage(stop.reason)}`;
  }
  const there = length - position;
  return stop.header === undefined
    ? `the ${there} bytes from byte ${position} on are fewer than the ${batchHeaderBytes} of a batch's header`
    : `the batch at byte ${position} has ${stop.bytesNeeded} bytes by its header, and ${there} of them are there`;
}

function explainHeaderDamage(damage: HeaderDamage): string {
  switch (damage) {
    case "lengthBelowHeader":
      return "its batch length is smaller than a header";
    case "unknownMagic":
      return "its magic byte is not 2";
    case "negativeBaseOffset":
      return "its base offset is negative";
    case "negativeLastOffsetDelta":
      return "its last offset delta is negative";
    case "offsetOverflow":
      return "its offsets go beyond 64 bits";
    case "leaderEpochBelowNone":
      return "its partition leader epoch is below -1";
    case "negativeRecordCount":
      return "its record count is negative";
    case "moreRecordsThanOffsets":
      return "its record count is larger than its range of offsets";
    case "moreRecordsThanBytes":
      return "its record count is larger than its bytes can hold";
  }
}
