import type { Offset } from "@tidemark/ids";
import type { BatchHeader } from "./batch-header.ts";
import { type Codecs, codecNameOf, decompressionRatioMax } from "./codec.ts";
import { createCursor, readVarint } from "./cursor.ts";
import { batchHeaderBytes } from "./layout.ts";
import type { RecordHeader, StoredRecord } from "./record.ts";
import { createRecordFields, type RecordDamage, type RecordFields, readFields } from "./record-fields.ts";

/**
 * Why the records of a batch cannot be had.
 *
 * - `unsupportedCodec`: this process does not know the batch's codec, or cannot load it. Others may.
 * - `decompressedTooLarge`: beyond the limit, or more than a hundred times the compressed size.
 * - `corruptCompression`: not what the codec writes.
 * - `offsetDeltas`: not rising, or outside of the batch.
 * - `trailingBytes`: something follows the last record.
 * - the others: see `RecordDamage`.
 */
export type DecodeFailure =
  | RecordDamage
  | "unsupportedCodec"
  | "decompressedTooLarge"
  | "corruptCompression"
  | "offsetDeltas"
  | "trailingBytes";

/** All records of a batch or none. The records may be gone through more than once and are made as one goes. */
export type DecodedBatch =
  | { readonly kind: "ok"; readonly records: Iterable<StoredRecord> }
  | { readonly kind: "failed"; readonly reason: DecodeFailure };

/** What a reader can decompress, and how much of it. */
export interface DecodeRules {
  readonly codecs: Codecs;
  /** What a batch may have decompressed, in bytes. */
  readonly maxDecompressedBytes: number;
}

/**
 * The records of the batch whose header was read from `bytes`. Never throws, whatever the bytes are, and never
 * allocates more than the rules allow. Every number and length is checked before the first record is handed out, so
 * that nobody acts on half of a damaged batch; going through the records then cannot fail.
 *
 * Key, value and headers are slices: of `bytes` when there is no codec. Who keeps them keeps the whole buffer.
 *
 * The CRC is not looked at (see `hasValidCrc`).
 */
export function decodeRecords(bytes: Uint8Array, header: BatchHeader, rules: DecodeRules): DecodedBatch {
  const stored = bytes.subarray(header.position + batchHeaderBytes, header.position + header.sizeInBytes);
  const plain = decompressed(stored, header, rules);
  if (plain.kind === "failed") return plain;
  const reason = damageOf(plain.bytes, header);
  if (reason !== undefined) return { kind: "failed", reason };
  return { kind: "ok", records: { [Symbol.iterator]: () => recordsIn(plain.bytes, header) } };
}

type PlainRecords =
  | { readonly kind: "ok"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly reason: DecodeFailure };

function decompressed(
  stored: Uint8Array,
  header: BatchHeader,
  { codecs, maxDecompressedBytes }: DecodeRules,
): PlainRecords {
  if (header.codecId === 0) return { kind: "ok", bytes: stored };
  const name = codecNameOf(header.codecId);
  const codec = name === undefined ? undefined : codecs[name];
  if (codec === undefined) return { kind: "failed", reason: "unsupportedCodec" };
  const result = codec.decompress(stored, Math.min(maxDecompressedBytes, stored.length * decompressionRatioMax));
  switch (result.kind) {
    case "ok":
      return result;
    case "tooLarge":
      return { kind: "failed", reason: "decompressedTooLarge" };
    case "corrupt":
      return { kind: "failed", reason: "corruptCompression" };
  }
}

/** Goes over all records without making any. */
function damageOf(plain: Uint8Array, header: BatchHeader): DecodeFailure | undefined {
  const cursor = createCursor(plain);
  const fields = createRecordFields();
  let offsetDelta = -1;
  for (let index = 0; index < header.recordCount; index++) {
    const damage = readFields(cursor, fields);
    if (damage !== undefined) return damage;
    if (fields.offsetDelta <= offsetDelta || fields.offsetDelta > header.lastOffsetDelta) return "offsetDeltas";
    offsetDelta = fields.offsetDelta;
  }
  return cursor.position === plain.length ? undefined : "trailingBytes";
}

function* recordsIn(plain: Uint8Array, header: BatchHeader): Generator<StoredRecord, void, undefined> {
  const cursor = createCursor(plain);
  const fields = createRecordFields();
  for (let index = 0; index < header.recordCount; index++) {
    readFields(cursor, fields);
    yield {
      offset: (header.baseOffset + BigInt(fields.offsetDelta)) as Offset,
      timestamp: timestampOf(header, fields),
      key: slice(plain, fields.keyAt, fields.keyLength),
      value: slice(plain, fields.valueAt, fields.valueLength),
      headers: headersOf(plain, fields),
    };
  }
}

function timestampOf(header: BatchHeader, { timestampDelta }: RecordFields): bigint {
  if (header.timestampType === "logAppend") return header.maxTimestamp;
  // What does not fit 64 bits wraps, as it does for Kafka's readers.
  return BigInt.asIntN(64, header.baseTimestamp + BigInt(timestampDelta));
}

const noHeaders: readonly RecordHeader[] = [];

function headersOf(plain: Uint8Array, { headersAt, headerCount }: RecordFields): readonly RecordHeader[] {
  if (headerCount === 0) return noHeaders;
  const cursor = createCursor(plain);
  cursor.position = headersAt;
  const next = () => {
    const length = readVarint(cursor);
    const content = slice(plain, cursor.position, length);
    if (length > 0) cursor.position += length;
    return content;
  };
  return Array.from({ length: headerCount }, () => ({ key: next() ?? plain.subarray(0, 0), value: next() }));
}

function slice(bytes: Uint8Array, position: number, length: number): Uint8Array | null {
  return length < 0 ? null : bytes.subarray(position, position + length);
}
