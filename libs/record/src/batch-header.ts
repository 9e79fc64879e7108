import { type LeaderEpoch, noLeaderEpoch, type Offset } from "@tidemark/ids";
import {
  attributeBits,
  batchHeaderBytes,
  fieldAt,
  int64Max,
  lengthOverhead,
  magicV2,
  recordBytesMin,
  viewOf,
} from "./layout.ts";

/** Of a batch without a producer id. */
export const noProducerId = -1n;
/** Of a record or batch without a time. */
export const noTimestamp = -1n;

/** The header of one batch as it stands in some bytes. A copy: it does not follow what is written there later. */
export interface BatchHeader {
  /** Where the batch begins in the bytes it was read from. */
  readonly position: number;
  /** Size of the whole batch with its header, in bytes: the next one begins at `position + sizeInBytes`. */
  readonly sizeInBytes: number;
  /** Offset of the first record; what a producer sends counts from 0. Stays when compaction removes that record. */
  readonly baseOffset: Offset;
  /** -1 until a leader has stamped the batch. */
  readonly leaderEpoch: LeaderEpoch;
  /** CRC-32C of everything from the attributes on, as it is written; unsigned. */
  readonly crc: number;
  /** All 16 bits, unsigned; the named ones follow. */
  readonly attributes: number;
  /** 0 to 7. `codecNameOf` knows which of them mean something. */
  readonly codecId: number;
  /** With `logAppend` the time of each record is `maxTimestamp`, whatever the record says. */
  readonly timestampType: "create" | "logAppend";
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  /** True when a cleaner put the time from which delete markers may go into `baseTimestamp`. */
  readonly hasDeleteHorizon: boolean;
  /** The last offset minus the base offset. At least `recordCount - 1`; more where compaction removed records. */
  readonly lastOffsetDelta: number;
  /** Milliseconds since 1970 that the records' timestamp deltas count from; -1 when there is none. */
  readonly baseTimestamp: bigint;
  /** The largest time in the batch, milliseconds since 1970; -1 when there is none. */
  readonly maxTimestamp: bigint;
  /** -1 without a producer id. */
  readonly producerId: bigint;
  /** -1 without a producer id. */
  readonly producerEpoch: number;
  /** Sequence of the first record within its producer epoch; -1 without a producer id. */
  readonly baseSequence: number;
  /** 0 in a batch that compaction emptied. */
  readonly recordCount: number;
}

/** Why bytes cannot be the header of a batch. */
export type HeaderDamage =
  | "lengthBelowHeader"
  | "unknownMagic"
  | "negativeBaseOffset"
  | "negativeLastOffsetDelta"
  | "offsetOverflow"
  | "leaderEpochBelowNone"
  | "negativeRecordCount"
  | "moreRecordsThanOffsets"
  | "moreRecordsThanBytes";

/**
 * - `ok`: a whole batch is there. Its header makes sense; its CRC and records were not looked at.
 * - `incomplete`: `bytesNeeded` from `position` on are needed to say more, and fewer are there. `header` is there when
 *   its 61 bytes were; then `bytesNeeded` is the size that the batch claims, up to 2 GiB: bound it before allocating.
 * - `malformed`: no bytes that follow can make it a batch.
 */
export type HeaderResult =
  | { readonly kind: "ok"; readonly header: BatchHeader }
  | {
      readonly kind: "incomplete";
      readonly position: number;
      readonly bytesNeeded: number;
      readonly header: BatchHeader | undefined;
    }
  | { readonly kind: "malformed"; readonly position: number; readonly reason: HeaderDamage };

/**
 * Reads the header of the batch that begins at `position`. Never throws, whatever the bytes are. Damage that shows in
 * the first 17 bytes (length, magic) is reported although the rest of the header is missing.
 */
export function readBatchHeader(bytes: Uint8Array, position = 0): HeaderResult {
  const bytesThere = bytes.length - position;
  const view = viewOf(bytes);
  if (bytesThere >= lengthOverhead) {
    const length = view.getInt32(position + fieldAt.batchLength);
    if (length + lengthOverhead < batchHeaderBytes) return malformed(position, "lengthBelowHeader");
  }
  if (bytesThere > fieldAt.magic && view.getInt8(position + fieldAt.magic) !== magicV2) {
    return malformed(position, "unknownMagic");
  }
  if (bytesThere < batchHeaderBytes) {
    return { kind: "incomplete", position, bytesNeeded: batchHeaderBytes, header: undefined };
  }
  const header = fieldsAt(view, position);
  const reason = damageOf(header);
  if (reason !== undefined) return malformed(position, reason);
  if (bytesThere < header.sizeInBytes) {
    return { kind: "incomplete", position, bytesNeeded: header.sizeInBytes, header };
  }
  return { kind: "ok", header };
}

/** Offset of the batch's last record, or where it was before compaction. */
export function lastOffsetOf(header: BatchHeader): Offset {
  return (header.baseOffset + BigInt(header.lastOffsetDelta)) as Offset;
}

/** Offset that the record after this batch gets. */
export function nextOffsetOf(header: BatchHeader): Offset {
  return (header.baseOffset + BigInt(header.lastOffsetDelta) + 1n) as Offset;
}

function malformed(position: number, reason: HeaderDamage): HeaderResult {
  return { kind: "malformed", position, reason };
}

function fieldsAt(view: DataView, position: number): BatchHeader {
  const attributes = view.getUint16(position + fieldAt.attributes);
  return {
    position,
    sizeInBytes: view.getInt32(position + fieldAt.batchLength) + lengthOverhead,
    baseOffset: view.getBigInt64(position + fieldAt.baseOffset) as Offset,
    leaderEpoch: view.getInt32(position + fieldAt.leaderEpoch) as LeaderEpoch,
    crc: view.getUint32(position + fieldAt.crc),
    attributes,
    codecId: attributes & attributeBits.codec,
    timestampType: (attributes & attributeBits.logAppendTime) === 0 ? "create" : "logAppend",
    isTransactional: (attributes & attributeBits.transactional) !== 0,
    isControl: (attributes & attributeBits.control) !== 0,
    hasDeleteHorizon: (attributes & attributeBits.deleteHorizon) !== 0,
    lastOffsetDelta: view.getInt32(position + fieldAt.lastOffsetDelta),
    baseTimestamp: view.getBigInt64(position + fieldAt.baseTimestamp),
    maxTimestamp: view.getBigInt64(position + fieldAt.maxTimestamp),
    producerId: view.getBigInt64(position + fieldAt.producerId),
    producerEpoch: view.getInt16(position + fieldAt.producerEpoch),
    baseSequence: view.getInt32(position + fieldAt.baseSequence),
    recordCount: view.getInt32(position + fieldAt.recordCount),
  };
}

/** What no log ever holds, whoever wrote the batch. */
function damageOf(header: BatchHeader): HeaderDamage | undefined {
  if (header.baseOffset < 0n) return "negativeBaseOffset";
  if (header.lastOffsetDelta < 0) return "negativeLastOffsetDelta";
  // The offset after the last record must be an offset too.
  if (header.baseOffset >= int64Max - BigInt(header.lastOffsetDelta)) return "offsetOverflow";
  if (header.leaderEpoch < noLeaderEpoch) return "leaderEpochBelowNone";
  if (header.recordCount < 0) return "negativeRecordCount";
  if (header.recordCount > header.lastOffsetDelta + 1) return "moreRecordsThanOffsets";
  const isPlain = header.codecId === 0;
  if (isPlain && header.recordCount * recordBytesMin > header.sizeInBytes - batchHeaderBytes) {
    return "moreRecordsThanBytes";
  }
  return undefined;
}
