import { type Cursor, type CursorDamage, readByte, readVarint, readVarlong } from "./cursor.ts";
import type { Varlong } from "./varint.ts";

/**
 * Why bytes are not a record: numbers that cannot be read, and lengths or counts that are negative or say more than
 * is there.
 */
export type RecordDamage = CursorDamage | "recordLength" | "fieldLength" | "headerCount";

/** Where the parts of one record are. Filled again and again: a batch may have a hundred thousand. */
export interface RecordFields {
  timestampDelta: Varlong;
  offsetDelta: number;
  keyAt: number;
  /** -1: no key. */
  keyLength: number;
  valueAt: number;
  /** -1: no value. */
  valueLength: number;
  headersAt: number;
  headerCount: number;
}

export function createRecordFields(): RecordFields {
  return {
    timestampDelta: 0,
    offsetDelta: 0,
    keyAt: 0,
    keyLength: 0,
    valueAt: 0,
    valueLength: 0,
    headersAt: 0,
    headerCount: 0,
  };
}

/** A header is a key length and a value length at least. */
const headerBytesMin = 2;

/**
 * Moves the cursor over one record and notes where its parts are, or says why it is none. Every length is checked
 * against the record's own end, so that no part reaches beyond it.
 */
export function readFields(cursor: Cursor, fields: RecordFields): RecordDamage | undefined {
  const bodySize = readVarint(cursor);
  const batchEnd = cursor.end;
  if (bodySize < 0 || bodySize > batchEnd - cursor.position) return "recordLength";
  cursor.end = cursor.position + bodySize;
  const damage = readBody(cursor, fields);
  if (damage !== undefined) return damage;
  if (cursor.position !== cursor.end) return "recordLength";
  cursor.end = batchEnd;
  return undefined;
}

function readBody(cursor: Cursor, fields: RecordFields): RecordDamage | undefined {
  // The attributes: no bit has a meaning, and Kafka takes any.
  readByte(cursor);
  fields.timestampDelta = readVarlong(cursor);
  fields.offsetDelta = readVarint(cursor);
  fields.keyLength = readVarint(cursor);
  fields.keyAt = cursor.position;
  if (!skip(cursor, fields.keyLength)) return cursor.damage ?? "fieldLength";
  fields.valueLength = readVarint(cursor);
  fields.valueAt = cursor.position;
  if (!skip(cursor, fields.valueLength)) return cursor.damage ?? "fieldLength";
  fields.headerCount = readVarint(cursor);
  fields.headersAt = cursor.position;
  if (cursor.damage !== undefined) return cursor.damage;
  return skipHeaders(cursor, fields.headerCount);
}

function skipHeaders(cursor: Cursor, count: number): RecordDamage | undefined {
  if (count < 0 || count * headerBytesMin > cursor.end - cursor.position) return "headerCount";
  for (let index = 0; index < count; index++) {
    const keyLength = readVarint(cursor);
    // A header's key, unlike its value, is never null.
    if (keyLength < 0 || !skip(cursor, keyLength)) return cursor.damage ?? "fieldLength";
    const valueLength = readVarint(cursor);
    if (!skip(cursor, valueLength)) return cursor.damage ?? "fieldLength";
  }
  return undefined;
}

/** Moves over `length` bytes, none for -1. False when they are not there, or when there was damage before. */
function skip(cursor: Cursor, length: number): boolean {
  if (cursor.damage !== undefined || length < -1 || length > cursor.end - cursor.position) return false;
  if (length > 0) cursor.position += length;
  return true;
}
