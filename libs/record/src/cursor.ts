import type { Varlong } from "./varint.ts";

/** Why a number could not be read: the bytes end within it, or it has more bits than its type. */
export type CursorDamage = "truncated" | "malformedVarint";

/**
 * Reads numbers one after the other. The first damage is kept, and from then on everything reads as 0 and nothing
 * moves: a caller may read several numbers and look once, but never loop over a count without looking.
 */
export interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
  /** Nothing is read from here on. */
  end: number;
  damage: CursorDamage | undefined;
}

export function createCursor(bytes: Uint8Array): Cursor {
  return { bytes, position: 0, end: bytes.length, damage: undefined };
}

/** Reads an int32 of 1 to 5 bytes. Longer forms than needed are read as Kafka reads them. */
export function readVarint(cursor: Cursor): number {
  const first = readByte(cursor);
  if (first < 0x80) return unzigzag(first);
  const raw = readRest(cursor, first & 0x7f);
  if (raw < 0x1000_0000) return unzigzag(raw);
  // Four bytes carried 28 bits and said that a fifth follows: it has room for four bits and ends the number.
  const fifth = readByte(cursor);
  if (fifth > 0x0f) return damaged(cursor, "malformedVarint");
  return unzigzag((raw & 0x0fff_ffff) | (fifth << 28));
}

/** Reads an int64 of 1 to 10 bytes. */
export function readVarlong(cursor: Cursor): Varlong {
  const first = readByte(cursor);
  if (first < 0x80) return unzigzag(first);
  const low = readRest(cursor, first & 0x7f);
  if (low < 0x1000_0000) return unzigzag(low);
  return readHighBits(cursor, low & 0x0fff_ffff);
}

/** Moves over one byte and returns it. */
export function readByte(cursor: Cursor): number {
  if (cursor.damage !== undefined) return 0;
  if (cursor.position >= cursor.end) return damaged(cursor, "truncated");
  return cursor.bytes[cursor.position++] ?? 0;
}

/** Bytes 2 to 4 of a number. Bit 28 of the result is set when the fourth byte says that more follow. */
function readRest(cursor: Cursor, low: number): number {
  let raw = low;
  for (let shift = 7; shift < 28; shift += 7) {
    const byte = readByte(cursor);
    raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) return raw;
  }
  return raw | 0x1000_0000;
}

/** Bytes 5 to 10 of a number whose lowest 28 bits are `low`. */
function readHighBits(cursor: Cursor, low: number): Varlong {
  let raw = BigInt(low);
  for (let shift = 28n; shift < 63n; shift += 7n) {
    const byte = readByte(cursor);
    raw |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return unzigzag64(raw);
  }
  // Nine bytes carried 63 bits: the tenth has room for one and ends the number.
  const tenth = readByte(cursor);
  if (tenth > 1) return damaged(cursor, "malformedVarint");
  return unzigzag64(raw | (BigInt(tenth) << 63n));
}

function damaged(cursor: Cursor, damage: CursorDamage): number {
  cursor.damage = damage;
  return 0;
}

function unzigzag(raw: number): number {
  return (raw >>> 1) ^ -(raw & 1);
}

function unzigzag64(raw: bigint): bigint {
  return (raw >> 1n) ^ -(raw & 1n);
}
