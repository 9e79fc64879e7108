import { type LeaderEpoch, noLeaderEpoch, type Offset } from "@tidemark/ids";
import { noProducerId, noTimestamp } from "./batch-header.ts";
import type { Crc32c } from "./crc32c.ts";
import { batchHeaderBytes, fieldAt, int32Max, lengthOverhead, magicV2, viewOf } from "./layout.ts";

/** Offsets whose records are gone. */
export interface EmptyRange {
  /** The first of them. */
  readonly baseOffset: Offset;
  /** The offset after the last of them. */
  readonly nextOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/**
 * A batch without records that stands for a range of offsets, as compaction leaves one of a batch that it emptied. It has
 * no time, no producer and no codec. Throws a RangeError for a range that is empty, or larger than a batch can say.
 */
export function encodeEmptyBatch({ baseOffset, nextOffset, leaderEpoch }: EmptyRange, crc32c: Crc32c): Uint8Array {
  const lastOffsetDelta = nextOffset - baseOffset - 1n;
  if (lastOffsetDelta < 0n || lastOffsetDelta > BigInt(int32Max) || leaderEpoch < noLeaderEpoch) {
    throw new RangeError(`No batch goes from ${baseOffset} to ${nextOffset} in leader epoch ${leaderEpoch}`);
  }
  const batch = new Uint8Array(batchHeaderBytes);
  const view = viewOf(batch);
  view.setBigInt64(fieldAt.baseOffset, baseOffset);
  view.setInt32(fieldAt.batchLength, batchHeaderBytes - lengthOverhead);
  view.setInt32(fieldAt.leaderEpoch, leaderEpoch);
  view.setInt8(fieldAt.magic, magicV2);
  view.setInt32(fieldAt.lastOffsetDelta, Number(lastOffsetDelta));
  view.setBigInt64(fieldAt.baseTimestamp, noTimestamp);
  view.setBigInt64(fieldAt.maxTimestamp, noTimestamp);
  view.setBigInt64(fieldAt.producerId, noProducerId);
  view.setInt16(fieldAt.producerEpoch, -1);
  view.setInt32(fieldAt.baseSequence, -1);
  view.setUint32(fieldAt.crc, crc32c(batch.subarray(fieldAt.attributes)));
  return batch;
}
