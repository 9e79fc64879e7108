/**
 * CRC-32C (Castagnoli) of `bytes`, unsigned. Given the value of what came before as `previous`, it continues it: the
 * CRC of a whole is the CRC of its pieces one after the other. The CRC of no bytes is 0.
 */
export type Crc32c = (bytes: Uint8Array, previous?: number) => number;

/** The polynomial of Castagnoli, its bits reversed. */
const polynomial = 0x82f63b78;

/** For each byte the remainder that it leaves, then the same moved on by one to three bytes. */
const tables = makeTables();

function makeTables(): Int32Array {
  const made = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ polynomial : remainder >>> 1;
    made[byte] = remainder;
  }
  for (let index = 256; index < made.length; index++) {
    const before = made[index - 256] ?? 0;
    made[index] = (before >>> 8) ^ (made[before & 0xff] ?? 0);
  }
  return made;
}

/** CRC-32C without any native code: for platforms that have no better one, and the measure of those that have. */
export function portableCrc32c(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous;
  let position = 0;
  // Four bytes a turn: each is looked up in the table that is moved on by as many bytes as follow it in the turn.
  for (const end = bytes.length - 3; position < end; position += 4) {
    const b0 = bytes[position] ?? 0;
    const b1 = bytes[position + 1] ?? 0;
    const b2 = bytes[position + 2] ?? 0;
    const b3 = bytes[position + 3] ?? 0;
    const word = crc ^ (b0 | (b1 << 8) | (b2 << 16) | (b3 << 24));
    crc =
      (tables[768 + (word & 0xff)] ?? 0) ^
      (tables[512 + ((word >>> 8) & 0xff)] ?? 0) ^
      (tables[256 + ((word >>> 16) & 0xff)] ?? 0) ^
      (tables[word >>> 24] ?? 0);
  }
  for (; position < bytes.length; position++) {
    crc = (crc >>> 8) ^ (tables[(crc ^ (bytes[position] ?? 0)) & 0xff] ?? 0);
  }
  return ~crc >>> 0;
}
