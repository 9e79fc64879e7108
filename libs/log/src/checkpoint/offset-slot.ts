/**
 * The record of `offset-checkpoint`: three offsets, checksummed, in one sector.
 *
 * The file has two slots. Plain writes go to the one that does not hold the newest synced record, so that no crash can
 * tear the only good one; after a sync the slots change their parts.
 */
import type { Offset } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { viewOf } from "../bytes.ts";

export interface NotedOffsets {
  /** The recovery point: below it everything was flushed when this was noted. */
  readonly flushed: Offset;
  /** As the replica last knew it; never above `flushed`. */
  readonly highWatermark: Offset;
  /** Records below it are deleted. */
  readonly logStart: Offset;
}

export interface Slot {
  /** Rises with each write; the highest valid one counts. */
  readonly sequence: bigint;
  readonly offsets: NotedOffsets;
}

export type SlotIndex = 0 | 1;

const magic = 0x544d4f43;
const version = 1;
const slotBytes = 48;
/** The slots lie in different sectors, also where a device has sectors of 4 KiB. */
const slotDistance = 4096;
export const slotFileBytes = slotDistance + slotBytes;

/** The file as it begins. Both slots have their room from then on: a disk that becomes full still takes notes. */
export function encodeSlotFile(first: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(slotFileBytes);
  bytes.set(first);
  return bytes;
}

export function slotPosition(index: SlotIndex): number {
  return index * slotDistance;
}

export function encodeSlot({ sequence, offsets }: Slot, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  const view = viewOf(bytes);
  view.setUint32(0, magic);
  view.setUint32(4, version);
  view.setBigInt64(8, sequence);
  view.setBigInt64(16, offsets.flushed);
  view.setBigInt64(24, offsets.highWatermark);
  view.setBigInt64(32, offsets.logStart);
  view.setUint32(40, crc32c(bytes.subarray(0, 40)));
  return bytes;
}

/** The newest valid slot of a file's bytes; undefined when neither is valid. */
export function newestSlot(
  bytes: Uint8Array,
  crc32c: Crc32c,
): { readonly index: SlotIndex; readonly slot: Slot } | undefined {
  const first = decodeSlot(bytes, 0, crc32c);
  const second = decodeSlot(bytes, 1, crc32c);
  if (first !== undefined && (second === undefined || first.sequence > second.sequence)) {
    return { index: 0, slot: first };
  }
  return second === undefined ? undefined : { index: 1, slot: second };
}

function decodeSlot(file: Uint8Array, index: SlotIndex, crc32c: Crc32c): Slot | undefined {
  const bytes = file.subarray(slotPosition(index), slotPosition(index) + slotBytes);
  if (bytes.length < slotBytes) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0) !== magic || view.getUint32(4) !== version) return undefined;
  if (view.getUint32(40) !== crc32c(bytes.subarray(0, 40))) return undefined;
  return {
    sequence: view.getBigInt64(8),
    offsets: {
      flushed: view.getBigInt64(16) as Offset,
      highWatermark: view.getBigInt64(24) as Offset,
      logStart: view.getBigInt64(32) as Offset,
    },
  };
}
