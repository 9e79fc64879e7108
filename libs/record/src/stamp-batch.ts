import type { LeaderEpoch, Offset } from "@tidemark/ids";
import type { BatchHeader } from "./batch-header.ts";
import type { Crc32c } from "./crc32c.ts";
import { attributeBits, fieldAt, viewOf } from "./layout.ts";
import { crcOf } from "./validate-batch.ts";

/** What a leader gives to a batch when it appends it. */
export interface LeaderStamp {
  readonly baseOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/**
 * Writes base offset and leader epoch into the batch at `position`. Both stand before the CRC, which stays as it is
 * (L1). A header read before does not show them.
 */
export function stampBatch(bytes: Uint8Array, position: number, stamp: LeaderStamp): void {
  const view = viewOf(bytes);
  view.setBigInt64(position + fieldAt.baseOffset, stamp.baseOffset);
  view.setInt32(position + fieldAt.leaderEpoch, stamp.leaderEpoch);
}

/**
 * Gives every record of the batch the time at which it was appended (`message.timestamp.type=LogAppendTime`): sets the
 * timestamp type and the largest timestamp, then writes the CRC anew. The records stay as they are; readers take the
 * largest timestamp instead of theirs. A header read before does not show it.
 */
export function stampLogAppendTime(
  bytes: Uint8Array,
  header: BatchHeader,
  append: { readonly timestamp: bigint; readonly crc32c: Crc32c },
): void {
  const view = viewOf(bytes);
  view.setUint16(header.position + fieldAt.attributes, header.attributes | attributeBits.logAppendTime);
  view.setBigInt64(header.position + fieldAt.maxTimestamp, append.timestamp);
  view.setUint32(header.position + fieldAt.crc, crcOf(bytes, header, append.crc32c));
}
