import { hash } from "node:crypto";
import type { Offset } from "@tidemark/ids";

/**
 * The last offset of each key, in bounded memory: 24 bytes for each slot. Keys are told apart by 128 bits of their
 * SHA-256, which nobody can make collide.
 */
export interface OffsetMap {
  /** Notes that `key` stands at `offset`, later than before. False when there is no room for another key. */
  put(key: Uint8Array, offset: Offset): boolean;
  get(key: Uint8Array): Offset | undefined;
  readonly size: number;
}

const bytesPerSlot = 24;
/** Slots that may be taken. Beyond it a lookup walks too far. */
const loadMax = 0.9;
const slotsMin = 64;

/** `maxBytes`: memory of the map. At least room for a few keys, and no more than for `maxKeys`. */
export function createOffsetMap(maxBytes: number, maxKeys: number): OffsetMap {
  const slots = Math.max(slotsMin, Math.min(Math.floor(maxBytes / bytesPerSlot), Math.ceil(maxKeys / loadMax) + 1));
  const capacity = Math.floor(slots * loadMax);
  const hashes = new BigUint64Array(slots * 2);
  // Offset + 1: 0 is an empty slot.
  const offsets = new BigInt64Array(slots);
  let size = 0;

  const slotOf = (key: Uint8Array): { readonly slot: number; readonly high: bigint; readonly low: bigint } => {
    const digest = hash("sha256", key, "buffer");
    const high = digest.readBigUInt64BE(0);
    const low = digest.readBigUInt64BE(8);
    let slot = digest.readUInt32BE(16) % slots;
    while (offsets[slot] !== 0n && (hashes[slot * 2] !== high || hashes[slot * 2 + 1] !== low))
      slot = (slot + 1) % slots;
    return { slot, high, low };
  };

  return {
    put(key, offset) {
      const { slot, high, low } = slotOf(key);
      if (offsets[slot] === 0n) {
        if (size >= capacity) return false;
        size++;
        hashes[slot * 2] = high;
        hashes[slot * 2 + 1] = low;
      }
      offsets[slot] = offset + 1n;
      return true;
    },
    get(key) {
      const found = offsets[slotOf(key).slot] ?? 0n;
      return found === 0n ? undefined : ((found - 1n) as Offset);
    },
    get size() {
      return size;
    },
  };
}
