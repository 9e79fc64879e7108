/**
 * A log that compaction has gone over may be cut where nothing is left: no batch ends at the cut. A batch without records
 * then stands for the offsets up to it. By that batch readers get to the log end, followers reach the offset that their
 * leader has, and a start finds it, before anything is appended there.
 */
import type { Offset } from "@tidemark/ids";
import { encodeEmptyBatch, readBatchHeader } from "@tidemark/record";
import { greater } from "../bytes.ts";
import { epochAt } from "../epochs/epoch-cache.ts";
import { isWithinReach } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { extendIndex, type Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";

/**
 * Writes the batch at the end of the segment, durable on return. False where there can be none: the log starts at the cut,
 * no leader epoch is known there, or the offsets are too many for one segment. Throws the DiskError of a full disk; then nothing was written.
 */
export async function fillGap(log: LogState, segment: Segment, cut: Offset): Promise<boolean> {
  const { context, settings } = log;
  const baseOffset = greater(segment.nextOffset, log.logStart);
  const leaderEpoch = epochAt(log.epochs, baseOffset);
  if (baseOffset >= cut || leaderEpoch === undefined || !isWithinReach(cut, segment.baseOffset)) return false;
  const bytes = encodeEmptyBatch({ baseOffset, nextOffset: cut, leaderEpoch }, context.crc32c);
  const found = readBatchHeader(bytes);
  if (found.kind !== "ok") throw new Error("Broken invariant: a batch that was encoded can be read");
  const { file, release } = await context.files.acquire(segment.path);
  try {
    await file.write(segment.size, [bytes]);
    await file.sync();
  } catch (error) {
    if (isSpaceError(error)) {
      log.writer.mayRegrow = true;
      await file.truncate(segment.size);
    }
    throw error;
  } finally {
    release();
  }
  if (segment.index !== undefined) extendIndex(segment.index, found.header, segment, settings.indexIntervalBytes);
  segment.size += bytes.length;
  return true;
}
