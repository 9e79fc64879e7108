import type { ProducedRecord, RecordHeader } from "./record.ts";
import { type Varlong, varintSize, varlongSize, writeVarint, writeVarlong } from "./varint.ts";

/** What a record says relative to its batch. */
export interface RecordDeltas {
  /** Its time minus the batch's base timestamp, in milliseconds. */
  readonly timestamp: Varlong;
  /** Its offset minus the batch's base offset. */
  readonly offset: number;
}

/** Stands in place of a length where there is no key or value. */
const nullLength = -1;

/** The one byte of record attributes, of which no bit has a meaning. */
const recordAttributes = 0;

/** Bytes of a record without the varint of this very number, which stands before it. */
export function recordBodySize(record: ProducedRecord, deltas: RecordDeltas): number {
  let size = 1 + varlongSize(deltas.timestamp) + varintSize(deltas.offset);
  size += sizedSize(record.key) + sizedSize(record.value) + varintSize(record.headers.length);
  for (const header of record.headers) size += sizedSize(header.key) + sizedSize(header.value);
  return size;
}

/** Bytes of a record whose body has this size. */
export function recordSize(bodySize: number): number {
  return varintSize(bodySize) + bodySize;
}

/** Writes a record at `position`, where `recordSize` bytes must be free, and returns where it ends. */
export function writeRecord(
  bytes: Uint8Array,
  position: number,
  record: ProducedRecord,
  { bodySize, deltas }: { readonly bodySize: number; readonly deltas: RecordDeltas },
): number {
  let at = writeVarint(bytes, position, bodySize);
  bytes[at++] = recordAttributes;
  at = writeVarlong(bytes, at, deltas.timestamp);
  at = writeVarint(bytes, at, deltas.offset);
  at = writeSized(bytes, at, record.key);
  at = writeSized(bytes, at, record.value);
  at = writeVarint(bytes, at, record.headers.length);
  for (const header of record.headers) at = writeHeader(bytes, at, header);
  return at;
}

function writeHeader(bytes: Uint8Array, position: number, header: RecordHeader): number {
  return writeSized(bytes, writeSized(bytes, position, header.key), header.value);
}

function sizedSize(content: Uint8Array | null): number {
  return content === null ? 1 : varintSize(content.length) + content.length;
}

function writeSized(bytes: Uint8Array, position: number, content: Uint8Array | null): number {
  if (content === null) return writeVarint(bytes, position, nullLength);
  const at = writeVarint(bytes, position, content.length);
  bytes.set(content, at);
  return at + content.length;
}
