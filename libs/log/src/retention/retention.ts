import type { Offset } from "@tidemark/ids";
import { noTimestamp } from "@tidemark/record";
import { activeSegment, assertOnline, type LogState } from "../log-state.ts";
import { ensureIndex } from "../read/find.ts";
import { damageSeen } from "../read/stable.ts";
import type { Segment } from "../segment/segment.ts";
import { rollSegment } from "../write/roll.ts";
import { exclusive, releaseFile } from "../write/writer.ts";
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
    if (segment.nextOffset > log.highWatermark || segment.size === 0) break;
    // What a start found behind its end is to be secured first: it is cut from the last segment only.
    if (log.tail !== undefined && segment === activeSegment(log)) break;
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
    await moveLogStart(log, start);
  } catch (error) {
    throw await damageSeen(log, error);
  }
}

/** Ends the active segment, if it is still that one. */
async function rollIdle(log: LogState, active: Segment): Promise<void> {
  await exclusive(log, async () => {
    if (activeSegment(log) !== active) return;
    releaseFile(log);
    await rollSegment(log, log.written);
  });
}

async function isOlder(log: LogState, segment: Segment, limit: bigint): Promise<boolean> {
  const { maxTimestamp } = (await ensureIndex(log, segment)).covered;
  return maxTimestamp !== noTimestamp && maxTimestamp < limit;
}
