/** Takes records out of a batch. What stays keeps its offset, its time and its bytes. */
import {
  type BatchHeader,
  batchHeaderBytes,
  type Codec,
  type Codecs,
  type Crc32c,
  codecNameOf,
  decodeRecords,
  decompressedBytesMax,
  decompressionRatioMax,
  type StoredRecord,
} from "@tidemark/record";
import { viewOf } from "../bytes.ts";

/** Bits 0 to 2 of the attributes. */
const codecBits = 0b111;
/** Where the fields of a batch stand that change when records go. */
const batchLengthAt = 8;
const crcAt = 17;
const attributesAt = 21;
const recordCountAt = 57;
/** Bytes that the length field leaves out. */
const lengthOverhead = 12;

export interface FilterRules {
  readonly codecs: Codecs;
  readonly crc32c: Crc32c;
  /** Whether the record stays. */
  readonly keep: (record: StoredRecord) => boolean;
}

/**
 * | kind        | meaning                                                               |
 * |-------------|-----------------------------------------------------------------------|
 * | whole       | every record stays                                                    |
 * | filtered    | `bytes` is the batch without those that go; `recordCount` may be 0     |
 * | undecodable | its records cannot be had, for instance for want of the codec: it stays |
 */
export type Filtered =
  | { readonly kind: "whole" }
  | { readonly kind: "filtered"; readonly bytes: Uint8Array; readonly recordCount: number }
  | { readonly kind: "undecodable" };

/** `bytes` hold the batch at `header.position`. */
export function filterBatch(bytes: Uint8Array, header: BatchHeader, rules: FilterRules): Filtered {
  const plain = plainBatch(bytes, header, rules);
  if (plain === undefined) return { kind: "undecodable" };
  const decoded = decodeRecords(plain.bytes, plain.header, {
    codecs: rules.codecs,
    maxDecompressedBytes: decompressedBytesMax,
  });
  if (decoded.kind === "failed") return { kind: "undecodable" };
  const kept: Uint8Array[] = [];
  let at = batchHeaderBytes;
  let count = 0;
  for (const record of decoded.records) {
    const end = endOfRecord(plain.bytes, at);
    if (rules.keep(record)) kept.push(plain.bytes.subarray(at, end));
    at = end;
    count++;
  }
  if (kept.length === count) return { kind: "whole" };
  return { kind: "filtered", bytes: rebuild(plain, kept, rules.crc32c), recordCount: kept.length };
}

interface PlainBatch {
  /** The batch alone, its records not compressed. */
  readonly bytes: Uint8Array;
  readonly header: BatchHeader;
  readonly codec: Codec | undefined;
}

function plainBatch(bytes: Uint8Array, header: BatchHeader, rules: FilterRules): PlainBatch | undefined {
  const { position, sizeInBytes } = header;
  const own = bytes.subarray(position, position + sizeInBytes);
  if (header.codecId === 0) return { bytes: own, header: { ...header, position: 0 }, codec: undefined };
  const name = codecNameOf(header.codecId);
  const codec = name === undefined ? undefined : rules.codecs[name];
  const stored = own.subarray(batchHeaderBytes);
  // What a leader takes has no more, so that whatever was accepted is compacted.
  const bytesMax = Math.min(decompressedBytesMax, stored.length * decompressionRatioMax);
  const records = codec?.decompress(stored, bytesMax);
  if (records?.kind !== "ok") return undefined;
  const plain = join(own.subarray(0, batchHeaderBytes), [records.bytes]);
  return { bytes: plain, header: { ...header, position: 0, codecId: 0, sizeInBytes: plain.length }, codec };
}

function rebuild({ bytes, header, codec }: PlainBatch, kept: readonly Uint8Array[], crc32c: Crc32c): Uint8Array {
  const plain = join(bytes.subarray(0, batchHeaderBytes), kept);
  const packed = codec === undefined || kept.length === 0 ? undefined : compressed(plain, codec);
  const batch = packed ?? plain;
  const view = viewOf(batch);
  view.setInt32(batchLengthAt, batch.length - lengthOverhead);
  view.setInt32(recordCountAt, kept.length);
  if (packed === undefined) view.setUint16(attributesAt, header.attributes & ~codecBits);
  view.setUint32(crcAt, crc32c(batch.subarray(attributesAt)));
  return batch;
}

/** Undefined where that saves nothing, or what is left would grow more than readers allow. */
function compressed(plain: Uint8Array, codec: Codec): Uint8Array | undefined {
  const records = plain.subarray(batchHeaderBytes);
  const packed = codec.compress(records);
  if (packed.length >= records.length || records.length > packed.length * decompressionRatioMax) return undefined;
  return join(plain.subarray(0, batchHeaderBytes), [packed]);
}

/** A record begins with its length, a zigzag varint; `decodeRecords` has found it sound. */
function endOfRecord(bytes: Uint8Array, at: number): number {
  let position = at;
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[position++] ?? 0;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return position + ((value >>> 1) ^ -(value & 1));
}

function join(first: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, first.length));
  joined.set(first);
  let at = first.length;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
