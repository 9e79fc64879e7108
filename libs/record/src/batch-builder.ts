import { type LeaderEpoch, noLeaderEpoch, type Offset } from "@tidemark/ids";
import { noProducerId, noTimestamp } from "./batch-header.ts";
import { type Codec, codecIdOf, decompressionRatioMax } from "./codec.ts";
import type { Crc32c } from "./crc32c.ts";
import { batchHeaderBytes, fieldAt, int16Max, int32Max, int64Max, lengthOverhead, magicV2, viewOf } from "./layout.ts";
import type { ProducedRecord } from "./record.ts";
import { toVarlong } from "./varint.ts";
import { type RecordDeltas, recordBodySize, recordSize, writeRecord } from "./write-record.ts";

/** Who produced a batch, for a leader that drops repeats (R11). */
export interface BatchProducer {
  /** 0 or more. */
  readonly id: bigint;
  /** 0 to 32767. */
  readonly epoch: number;
  /** Sequence of the batch's first record, 0 to 2^31-1. */
  readonly sequence: number;
}

/** What a batch carries beside its records. */
export interface BatchSeal {
  readonly crc32c: Crc32c;
  /** No codec: the records stay as they are. */
  readonly codec?: Codec;
  /** Absent: not idempotent. */
  readonly producer?: BatchProducer;
  /** 0 when absent, as producers send it. */
  readonly baseOffset?: Offset;
  /** -1 when absent, as producers send it. */
  readonly leaderEpoch?: LeaderEpoch;
}

/** Collects records into one batch. */
export interface BatchBuilder {
  readonly recordCount: () => number;
  /** Bytes of the batch so far with its header and before compression; 61 when empty. */
  readonly sizeInBytes: () => number;
  /** What `sizeInBytes` would be with this record: lets a producer close a batch before it grows too large. */
  readonly sizeWith: (record: ProducedRecord) => number;
  /**
   * Copies the record in and returns `sizeInBytes`. Throws a RangeError for a time below -1, beyond 2 GiB, and once the
   * batch was built.
   */
  readonly append: (record: ProducedRecord) => number;
  /**
   * The finished batch. Throws a RangeError when no record was appended or the producer is out of range. Building takes no copy the first time; built
   * again, as for another producer epoch, it is a batch of its own.
   */
  readonly build: (seal: BatchSeal) => Uint8Array;
}

const capacityDefault = 1024;

/** A builder with room for `capacity` bytes, which grows when that is not enough. */
export function createBatchBuilder(capacity = capacityDefault): BatchBuilder {
  let bytes = new Uint8Array(Math.max(capacity, batchHeaderBytes));
  let end = batchHeaderBytes;
  let recordCount = 0;
  let baseTimestamp = noTimestamp;
  let maxTimestamp = noTimestamp;
  let isBuilt = false;

  const deltasOf = (record: ProducedRecord): RecordDeltas => ({
    timestamp: recordCount === 0 ? 0 : toVarlong(record.timestamp - baseTimestamp),
    offset: recordCount,
  });

  const reserve = (needed: number) => {
    if (needed - lengthOverhead > int32Max) throw new RangeError("A batch holds 2 GiB at most");
    if (needed <= bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, bytes.length * 2));
    larger.set(bytes.subarray(0, end));
    bytes = larger;
  };

  return {
    recordCount: () => recordCount,
    sizeInBytes: () => end,
    sizeWith: (record) => end + recordSize(recordBodySize(record, deltasOf(record))),
    append(record) {
      if (isBuilt) throw new RangeError("A batch that was built takes no more records");
      checkTimestamp(record.timestamp);
      const deltas = deltasOf(record);
      const bodySize = recordBodySize(record, deltas);
      reserve(end + recordSize(bodySize));
      end = writeRecord(bytes, end, record, { bodySize, deltas });
      if (recordCount === 0) baseTimestamp = record.timestamp;
      if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp;
      recordCount++;
      return end;
    },
    build(seal) {
      if (recordCount === 0) throw new RangeError("A batch holds one record at least");
      if (seal.producer !== undefined) checkProducer(seal.producer);
      const plain = isBuilt ? bytes.slice(0, end) : bytes.subarray(0, end);
      isBuilt = true;
      const { batch, codecId } = compressed(plain, seal.codec);
      writeHeader(batch, seal, { codecId, recordCount, baseTimestamp, maxTimestamp });
      return batch;
    },
  };
}

function checkTimestamp(timestamp: bigint): void {
  if (timestamp < noTimestamp || timestamp > int64Max) throw new RangeError(`Not a timestamp: ${timestamp}`);
}

/** A number out of range would be cut to its width, and be another producer's. */
function checkProducer({ id, epoch, sequence }: BatchProducer): void {
  const isRight = id >= 0n && id <= int64Max && isWithin(epoch, int16Max) && isWithin(sequence, int32Max);
  if (!isRight) throw new RangeError(`Not a producer: id ${id}, epoch ${epoch}, sequence ${sequence}`);
}

function isWithin(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

/** The batch with its records compressed, its header still to be written. */
function compressed(plain: Uint8Array, codec: Codec | undefined): { batch: Uint8Array; codecId: number } {
  if (codec === undefined || codec.name === "none") return { batch: plain, codecId: 0 };
  const records = plain.subarray(batchHeaderBytes);
  const packed = codec.compress(records);
  // Compression that saves nothing costs every reader; and readers refuse what grows too much.
  const isWorthwhile = packed.length < records.length && records.length <= packed.length * decompressionRatioMax;
  if (!isWorthwhile) return { batch: plain, codecId: 0 };
  const batch = new Uint8Array(batchHeaderBytes + packed.length);
  batch.set(packed, batchHeaderBytes);
  return { batch, codecId: codecIdOf(codec.name) };
}

interface BatchContent {
  readonly codecId: number;
  readonly recordCount: number;
  readonly baseTimestamp: bigint;
  readonly maxTimestamp: bigint;
}

function writeHeader(batch: Uint8Array, seal: BatchSeal, content: BatchContent): void {
  const view = viewOf(batch);
  view.setBigInt64(fieldAt.baseOffset, seal.baseOffset ?? 0n);
  view.setInt32(fieldAt.batchLength, batch.length - lengthOverhead);
  view.setInt32(fieldAt.leaderEpoch, seal.leaderEpoch ?? noLeaderEpoch);
  view.setInt8(fieldAt.magic, magicV2);
  view.setUint16(fieldAt.attributes, content.codecId);
  view.setInt32(fieldAt.lastOffsetDelta, content.recordCount - 1);
  view.setBigInt64(fieldAt.baseTimestamp, content.baseTimestamp);
  view.setBigInt64(fieldAt.maxTimestamp, content.maxTimestamp);
  view.setBigInt64(fieldAt.producerId, seal.producer?.id ?? noProducerId);
  view.setInt16(fieldAt.producerEpoch, seal.producer?.epoch ?? -1);
  view.setInt32(fieldAt.baseSequence, seal.producer?.sequence ?? -1);
  view.setInt32(fieldAt.recordCount, content.recordCount);
  view.setUint32(fieldAt.crc, seal.crc32c(batch.subarray(fieldAt.attributes)));
}
