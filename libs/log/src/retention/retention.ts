import { DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { noTimestamp } from "@tidemark/record";
import { LogError } from "../errors.ts";
import { activeSegment, assertOnline, type LogState } from "../log-state.ts";
import { ensureIndex } from "../read/find.ts";
import { damageSeen } from "../read/stable.ts";
import type { Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";
import { releaseFile, rollSegment } from "../write/roll.ts";
import { exclusive } from "../write/writer.ts";
import { moveLogStart } from "./log-start.ts";

/**
 * Where the log would start if what is too old, or more than may be kept, were deleted: at the end of a segment, and
 * never above the high watermark. A segment without any time is never too old.
 */
async function retentionStart(log: LogState, now: bigint): Promise<Offset> {
  const { retentionMs, retentionBytes } = log.settings;
  let size = log.segments.reduce((sum, segment) => sum + segment.size, 0);
  let start = log.logStart;
  for (const segment of log.segments) {
    if (segment.nextOffset > log.highWatermark) break;
    // What a start found behind its end is to be secured first: it is cut from the last segment only.
    if (segment === activeSegment(log) && (segment.size === 0 || log.tail !== undefined)) break;
    // What compaction emptied goes with what comes before it, and keeps nothing that comes behind it.
    if (segment.size === 0) continue;
    const isTooMuch = retentionBytes >= 0 && size - segment.size >= retentionBytes;
    if (!isTooMuch && !(retentionMs >= 0 && (await isOlder(log, segment, now - BigInt(retentionMs))))) break;
    size -= segment.size;
    start = segment.nextOffset;
  }
  return start;
}

/** Deletes what retention does not keep (L7). When even the active segment is too old, the log rolls first. */
export async function applyRetention(log: LogState, now: bigint): Promise<void> {
  assertOnline(log);
  if (!log.settings.deletes) return;
  try {
    const start = await retentionStart(log, now);
    if (start <= log.logStart) return;
    const active = log.segments.at(-1);
    if (active !== undefined && active.size > 0 && active.nextOffset <= start) await rollIdle(log, active);
    // It was cut meanwhile: what is too old now is seen the next time.
    if (start > log.highWatermark) return;
    await moveLogStart(log, start);
  } catch (error) {
    throw await retentionFailed(log, error);
  }
}

/** A full disk ends the round and harms nothing; a device that fails is the directory's end (L6). */
async function retentionFailed(log: LogState, error: unknown): Promise<unknown> {
  const seen = await damageSeen(log, error);
  if (!(seen instanceof DiskError)) return seen;
  if (!isSpaceError(seen)) return log.context.fail(seen, `applying retention to ${log.directory}`);
  return new LogError("NO_SPACE", `No space to end the last segment of ${log.directory}`, { cause: seen });
}

/** Ends the active segment, if it is still that one. */
async function rollIdle(log: LogState, active: Segment): Promise<void> {
  await exclusive(log, async () => {
    // While it is to be cut, what lies above the cut is still in the segment, and nothing may come behind that.
    if (activeSegment(log) !== active || log.cutting > 0) return;
    releaseFile(log);
    await rollSegment(log, log.written);
  });
}

async function isOlder(log: LogState, segment: Segment, limit: bigint): Promise<boolean> {
  const { maxTimestamp } = (await ensureIndex(log, segment)).covered;
  return maxTimestamp !== noTimestamp && maxTimestamp < limit;
}
