/**
 * Which partition a record goes to. Compatible with Kafka's default: records of one key go where a Kafka producer would
 * have sent them, so that tables of both can be joined partition by partition.
 */

const seed = 0x9747b28c;
const multiplier = 0x5bd1e995;

/** The 32-bit murmur2 hash as Kafka's clients compute it, as a signed number. */
export function murmur2(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length & ~3;
  let hash = seed ^ bytes.length;
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(view.getInt32(at, true), multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const rest = bytes.length - whole;
  if (rest > 0) {
    for (let at = rest - 1; at >= 0; at--) hash ^= view.getUint8(whole + at) << (8 * at);
    hash = Math.imul(hash, multiplier);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return hash ^ (hash >>> 15);
}

/** The partition of a key, in [0, partitions). `partitions` is at least 1. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
