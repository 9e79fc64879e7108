import { gather, type WireBytes } from "../wire/wire-bytes.ts";

/** From here on bytes are referred to; below it a copy costs less than one more piece. */
const byReferenceBytes = 1024;
/** Messages are written into rooms of this size, one behind the other, as Node's own small buffers are. */
const roomBytes = 8192;
/** A message begins in a new room where less than this is left: most need no more, and one piece costs less than two. */
const leftBytesMin = 256;

/** The room that the next message is written into, from its end to its beginning, and where what was handed out begins. */
let sharedRoom = Buffer.allocUnsafeSlow(roomBytes);
let sharedEnd = roomBytes;

/**
 * Writes a message from its end to its beginning, so that the length of what lies inside is known when it is written before
 * it: one pass, and no buffer for each message inside. Big bytes fields are referred to.
 *
 * A class, since one is made for each message: as an object of functions each was ten objects, one of them with a hidden
 * class of its own. Only one may be in use at a time, which is so as long as nobody waits in between.
 */
export class BackwardWriter {
  #room = sharedRoom;
  /** What is written in the room and not behind it lies between the two. */
  #at = sharedEnd;
  #end = sharedEnd;
  /** What lies behind that, the last piece first. Undefined: nothing. */
  #behind: Uint8Array[] | undefined;
  #behindBytes = 0;

  constructor() {
    if (sharedEnd < leftBytesMin) this.#takeRoom(roomBytes);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#behindBytes + this.#end - this.#at;
  }

  /** A varint of a whole number from 0 to 2^53 - 1. */
  varint(value: number): void {
    if (value < 0x80) {
      // Nearly all tags and most lengths.
      this.#reserve(1);
      this.#room[this.#at] = value;
      return;
    }
    this.#reserve(sizeOfVarint(value));
    const room = this.#room;
    let rest = value;
    let position = this.#at;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) room[position++] = (rest % 0x80) | 0x80;
    for (; rest >= 0x80; rest >>= 7) room[position++] = (rest & 0x7f) | 0x80;
    room[position] = rest;
  }

  /** A varint of 64 bits, negative numbers in two's complement. */
  varint64(value: bigint): void {
    const digits: number[] = [];
    for (let rest = BigInt.asUintN(64, value); rest > 0n; rest >>= 7n) digits.push(Number(rest & 0x7fn));
    this.#reserve(digits.length);
    for (const [index, digit] of digits.entries())
      this.#room[this.#at + index] = index < digits.length - 1 ? digit | 0x80 : digit;
  }

  text(value: string): void {
    this.#reserve(Buffer.byteLength(value));
    this.#room.write(value, this.#at);
  }

  /** The bytes are not copied if there are many: they must stay as they are until sent. */
  bytes(value: Uint8Array): void {
    if (value.byteLength < byReferenceBytes) {
      this.#reserve(value.byteLength);
      this.#room.set(value, this.#at);
      return;
    }
    this.#close();
    this.#putBehind(value);
  }

  /** What was written. Ends the writer. */
  finish(): WireBytes {
    sharedRoom = this.#room;
    sharedEnd = this.#at;
    if (this.#behind === undefined) return this.#room.subarray(this.#at, this.#end);
    this.#close();
    return gather(this.#behind.reverse());
  }

  #reserve(bytes: number): void {
    if (this.#at < bytes) {
      this.#close();
      this.#takeRoom(Math.max(bytes, roomBytes));
    }
    this.#at -= bytes;
  }

  #takeRoom(bytes: number): void {
    this.#room = Buffer.allocUnsafeSlow(bytes);
    this.#at = bytes;
    this.#end = bytes;
  }

  /** What is written in the room lies behind whatever comes before it. */
  #close(): void {
    if (this.#at < this.#end) this.#putBehind(this.#room.subarray(this.#at, this.#end));
    this.#end = this.#at;
  }

  #putBehind(piece: Uint8Array): void {
    this.#behind ??= [];
    this.#behind.push(piece);
    this.#behindBytes += piece.length;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  let rest = value;
  for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) size++;
  for (; rest >= 0x80; rest >>= 7) size++;
  return size;
}
