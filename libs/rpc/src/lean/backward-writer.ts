import { gather, type WireBytes } from "../wire/wire-bytes.ts";

/** From here on bytes are referred to; below it a copy costs less than one more piece. */
const byReferenceBytes = 1024;
/** Room for what is small in a message: most need no more. */
const roomBytes = 256;

/**
 * Writes a message from its end to its beginning, so that the length of what lies inside is known when it is written before
 * it: one pass, and no buffer for each message inside. Big bytes fields are referred to.
 */
export interface BackwardWriter {
  /** Bytes written so far. */
  readonly length: number;
  /** A varint of a whole number from 0 to 2^53 - 1. */
  varint(value: number): void;
  /** A varint of 64 bits, negative numbers in two's complement. */
  varint64(value: bigint): void;
  text(value: string): void;
  /** The bytes are not copied if there are many: they must stay as they are until sent. */
  bytes(value: Uint8Array): void;
  /** What was written. Ends the writer. */
  finish(): WireBytes;
}

export function createBackwardWriter(): BackwardWriter {
  let room = Buffer.allocUnsafe(roomBytes);
  /** What is written in `room` lies between the two. */
  let at = room.length;
  let end = at;
  /** What lies behind `room`, the last piece first. */
  const behind: Uint8Array[] = [];
  let behindBytes = 0;

  const putBehind = (piece: Uint8Array) => {
    behind.push(piece);
    behindBytes += piece.length;
  };
  const close = () => {
    if (at < end) putBehind(room.subarray(at, end));
    end = at;
  };
  const reserve = (bytes: number) => {
    if (at < bytes) {
      close();
      room = Buffer.allocUnsafe(Math.max(bytes, roomBytes));
      at = room.length;
      end = at;
    }
    at -= bytes;
  };

  const varint = (value: number) => {
    if (value < 0x80) {
      // Nearly all tags and most lengths.
      reserve(1);
      room[at] = value;
      return;
    }
    reserve(sizeOfVarint(value));
    let rest = value;
    let position = at;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) room[position++] = (rest % 0x80) | 0x80;
    for (; rest >= 0x80; rest >>= 7) room[position++] = (rest & 0x7f) | 0x80;
    room[position] = rest;
  };

  return {
    get length() {
      return behindBytes + end - at;
    },
    varint,
    varint64(value) {
      const digits: number[] = [];
      for (let rest = BigInt.asUintN(64, value); rest > 0n; rest >>= 7n) digits.push(Number(rest & 0x7fn));
      reserve(digits.length);
      for (const [index, digit] of digits.entries())
        room[at + index] = index < digits.length - 1 ? digit | 0x80 : digit;
    },
    text(value) {
      reserve(Buffer.byteLength(value));
      room.write(value, at);
    },
    bytes(value) {
      if (value.byteLength < byReferenceBytes) {
        reserve(value.byteLength);
        room.set(value, at);
        return;
      }
      close();
      putBehind(value);
    },
    finish() {
      if (behind.length === 0) return room.subarray(at, end);
      close();
      return gather(behind.reverse());
    },
  };
}

function sizeOfVarint(value: number): number {
  let size = 1;
  let rest = value;
  for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) size++;
  for (; rest >= 0x80; rest >>= 7) size++;
  return size;
}
