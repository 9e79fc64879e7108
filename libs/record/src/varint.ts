/**
 * Protocol Buffers' zigzag varints, as records carry them: seven bits a byte, the lowest first, the sign in the lowest
 * bit. An int32 takes 1 to 5 bytes, an int64 1 to 10; a value that fits both looks the same in both.
 */

/** Bytes that `value`, an int32, takes. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Writes `value`, an int32, at `position` and returns where it ends. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let at = position;
  while (rest >= 0x80) {
    bytes[at++] = rest | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** An int64. A number when it is an int32, as nearly all are: it is measured and written several times faster. */
export type Varlong = number | bigint;

/** `value` in its faster form. The difference of two int64 may have a bit too many: it wraps, and so does their sum. */
export function toVarlong(value: bigint): Varlong {
  const small = Number(value);
  return small === (small | 0) ? small : BigInt.asIntN(64, value);
}

/** Bytes that `value` takes. */
export function varlongSize(value: Varlong): number {
  if (typeof value === "number") return varintSize(value);
  let rest = zigzag64(value);
  let size = 1;
  for (; rest >= 0x80n; rest >>= 7n) size++;
  return size;
}

/** Writes `value` at `position` and returns where it ends. */
export function writeVarlong(bytes: Uint8Array, position: number, value: Varlong): number {
  if (typeof value === "number") return writeVarint(bytes, position, value);
  let rest = zigzag64(value);
  let at = position;
  for (; rest >= 0x80n; rest >>= 7n) bytes[at++] = Number(rest & 0x7fn) | 0x80;
  bytes[at++] = Number(rest);
  return at;
}

function zigzag64(value: bigint): bigint {
  return BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
}
