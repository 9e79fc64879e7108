/**
 * What a start found beyond the recovery point is written anew, to a file of its own, and flushed (L4). That it can be
 * read does not mean that it was flushed: after a kill it may be in the page cache alone, and after a failed fsync the
 * cache shows it as clean although it never reached the disk.
 *
 * | step | on disk                                                     | a crash then                              |
 * |------|-------------------------------------------------------------|-------------------------------------------|
 * | 1    | the torn bytes, if any, are kept in a file aside            | begins anew                               |
 * | 2    | the tail is in an aside file, synced, the directory too     | begins anew: the segment still has it     |
 * | 3    | the segment is cut at the recovery point, synced            | the aside file is adopted: it follows on  |
 * | 4    | the aside file is renamed to be the next segment            | nothing is left to do                     |
 */
import { DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { writeAside } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { type Coverage, cutIndex } from "../index/segment-index.ts";
import { activeSegment, type LogState, type UnflushedTail } from "../log-state.ts";
import { asideSuffix, join, segmentFileName } from "../names.ts";
import { whileReplacing } from "../replacing.ts";
import { readOrDamage } from "../segment/read-or-damage.ts";
import { buildIndex, createSegment, removeIndex, type Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";
import { coverageBelow } from "../write/coverage.ts";

const pieceBytes = 4 * 1024 * 1024;

/** Leaves everything in the last segment flushed. Goes by what is on disk, also while a cut waits for its turn. */
export async function rewriteTail(log: LogState, { from, tornBytes }: UnflushedTail): Promise<void> {
  const { context } = log;
  const segment = activeSegment(log);
  if (tornBytes > 0) await keepTorn(log, segment, tornBytes);
  if (from >= segment.nextOffset) {
    if (tornBytes > 0) await cutFile(context, segment, segment.size);
    return;
  }
  const kept = await coverageBelow(log, segment, from);
  const next = await copyTail(log, segment, { from, position: kept.bytes });
  next.index = await buildIndex(context, next, log.settings.indexIntervalBytes);
  next.nextOffset = segment.nextOffset;

  try {
    await whileReplacing(log, () => putBehind(log, { segment, next, kept }));
  } catch (error) {
    // Begun again, the only copy of the tail would make room for its own copy: the next start goes on from here.
    throw context.fail(error, `putting the tail of ${log.directory} in place`);
  }
}

/** Cuts the segment and gives its tail a name of its own. Without anything left of it, the tail takes its place. */
async function putBehind(
  log: LogState,
  { segment, next, kept }: { readonly segment: Segment; readonly next: Segment; readonly kept: Coverage },
): Promise<void> {
  const { context } = log;
  const before = log.segments.slice(0, -1);
  log.segments = kept.bytes === 0 ? [...before, next] : [...before, segment, next];
  if (kept.bytes > 0) {
    await removeIndex(context, segment);
    if (segment.index !== undefined) cutIndex(segment.index, kept, segment.baseOffset);
    segment.size = kept.bytes;
    segment.nextOffset = next.baseOffset;
    await cutFile(context, segment, kept.bytes);
  }
  await adopt(context, log.directory, next);
}

/** Renames the aside file of a segment to what it is. */
export async function adopt(context: LogContext, directory: string, segment: Segment): Promise<void> {
  const path = join(directory, segmentFileName(segment.baseOffset, "log"));
  await removeIndex(context, segment);
  await context.disk.rename(segment.path, path);
  context.files.forget(segment.path);
  context.files.forget(path);
  segment.path = path;
  await syncEntries(context, directory);
}

async function copyTail(
  log: LogState,
  segment: Segment,
  tail: { readonly from: Offset; readonly position: number },
): Promise<Segment> {
  const { context } = log;
  const next = createSegment(log.directory, tail.from);
  next.path += asideSuffix;
  try {
    await copyInto(log, { segment, next, position: tail.position });
  } catch (error) {
    // Half a copy is nothing, and takes the room that others need.
    if (isSpaceError(error)) {
      context.files.forget(next.path);
      await context.disk.remove(next.path);
    }
    throw error;
  }
  return next;
}

async function copyInto(
  { context, directory }: LogState,
  { segment, next, position }: { readonly segment: Segment; readonly next: Segment; readonly position: number },
): Promise<void> {
  const source = await context.files.acquire(segment.path);
  try {
    const target = await context.files.create(next.path);
    try {
      while (position + next.size < segment.size) {
        const length = Math.min(pieceBytes, segment.size - position - next.size);
        const range = { from: position + next.size, length, offset: next.baseOffset };
        const piece = await readOrDamage(source.file, segment, range);
        if (piece.length < length) throw new DiskError("IO", "read", segment.path);
        await target.file.write(next.size, [piece]);
        next.size += piece.length;
      }
      await target.file.sync();
    } finally {
      target.release();
    }
  } finally {
    source.release();
  }
  await syncEntries(context, directory);
}

async function keepTorn(log: LogState, segment: Segment, bytes: number): Promise<void> {
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const path = join(log.directory, tornFileName(segment.baseOffset, segment.size));
    await writeAside(log.context, path, async (aside) => {
      for (let at = 0; at < bytes; at += pieceBytes) {
        const range = { from: segment.size + at, length: Math.min(bytes - at, pieceBytes), offset: segment.nextOffset };
        await aside.write(at, [await readOrDamage(file, segment, range)]);
      }
    });
  } finally {
    release();
  }
}

/** What was cut from a segment at that byte: kept for people to look at, and read by nobody. */
function tornFileName(baseOffset: Offset, position: number): string {
  return `${segmentFileName(baseOffset, "log")}.${position}.torn`;
}

/** Cuts the segment's file there, durably; also where somebody who died before that was durable has cut it. */
export async function cutFile(context: LogContext, segment: Segment, size: number): Promise<void> {
  const { file, release } = await context.files.acquire(segment.path);
  try {
    await file.truncate(size);
    await file.sync();
  } finally {
    release();
  }
}
