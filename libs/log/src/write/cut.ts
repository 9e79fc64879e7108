/**
 * Cutting a log at its end (L9): the noted offsets are lowered first and that is flushed, then the bytes go, and that is
 * flushed before the next append. What is asked for is seen at once: nothing at or above the cut is read or counts as
 * flushed from the call on, whatever is under way. What was appended and not yet written is dropped.
 */

import type { Offset } from "@tidemark/ids";
import { batchHeaderBytes, readBatchHeader } from "@tidemark/record";
import { greater, lesser } from "../bytes.ts";
import { type CutNote, noteCut } from "../checkpoint/cut-note.ts";
import { noteOffsets, persistOffsets } from "../checkpoint/offset-checkpoint.ts";
import { cutRounds, writeRounds } from "../compaction/cleaner-checkpoint.ts";
import { syncEntries } from "../context.ts";
import { cutEpochsAtEnd } from "../epochs/epoch-cache.ts";
import { cutEpochFile, replaceEpochFile, syncEpochs } from "../epochs/epoch-file.ts";
import { LogError } from "../errors.ts";
import { type Coverage, createSegmentIndex, cutIndex } from "../index/segment-index.ts";
import { assertOnline, type LogState, offsetsToNote, segmentIndexFor } from "../log-state.ts";
import { removeSnapshots } from "../producers/producer-state.ts";
import { rebuildProducers } from "../producers/rebuild.ts";
import { ensureIndex } from "../read/find.ts";
import { forgetRecent } from "../read/recent.ts";
import { damageSeen } from "../read/stable.ts";
import { readOrDamage } from "../segment/read-or-damage.ts";
import { createSegment, createSegmentFile, removeIndex, type Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";
import { tell } from "../tell.ts";
import { untilThereIsRoom } from "../try-again.ts";
import { coverageBelow } from "./coverage.ts";
import { fillGap } from "./fill-gap.ts";
import { releaseFile, removeBegunSegment } from "./roll.ts";
import { exclusive } from "./writer.ts";

export interface CutOptions {
  /** What goes is noted before, see `Log.cutNote`. Default: it is not. */
  readonly isNoted?: boolean;
}

/**
 * Removes every batch that has an offset at `cut` or above. Returns where the log ends then: at `cut`, or before the batch
 * in which `cut` lay. Nothing happens where the log ends below it.
 */
export async function truncateTo(log: LogState, cut: Offset, options?: CutOptions): Promise<Offset> {
  assertOnline(log);
  if (cut > log.end) return log.end;
  // An epoch may begin at the end with nothing in it: where the log is cut there, it never was (R8).
  if (cut === log.end && cutEpochsAtEnd(log.epochs, cut) === log.epochs) return log.end;
  if (cut < log.logStart) return startAnewAt(log, cut, options);
  return cutting(log, { seen: cut, note: noteOf(log, cut, options), work: () => cutSegments(log, cut) });
}

/** Removes everything; the next record gets `start`, which is the log start as well. */
export async function startAnewAt(log: LogState, start: Offset, options?: CutOptions): Promise<Offset> {
  assertOnline(log);
  return cutting(log, {
    seen: lesser(start, log.logStart),
    note: noteOf(log, start, options),
    work: () => replaceSegments(log, start),
  });
}

function noteOf({ end }: LogState, firstOffset: Offset, options: CutOptions | undefined): CutNote | undefined {
  return options?.isNoted === true ? { firstOffset, logEnd: end } : undefined;
}

async function cutting(
  log: LogState,
  {
    seen,
    note,
    work,
  }: { readonly seen: Offset; readonly note: CutNote | undefined; readonly work: () => Promise<Offset> },
): Promise<Offset> {
  if (log.writer.isClosing) throw new LogError("CLOSED", `${log.directory} is being closed`);
  lowerAtOnce(log, seen);
  log.cutting++;
  try {
    return await log.maintenance.run(async () => {
      // It may have been closed, and its files be another's, while this waited for its turn.
      assertOnline(log);
      if (note !== undefined) await noteCut(log, note);
      return exclusive(log, work);
    });
  } catch (error) {
    throw await cutFailed(log, error);
  } finally {
    log.cutting--;
  }
}

function lowerAtOnce(log: LogState, cut: Offset): void {
  log.generation++;
  log.cuts++;
  forgetRecent(log);
  log.writer.queue.length = 0;
  log.epochs = cutEpochsAtEnd(log.epochs, cut);
  log.written = lesser(log.written, cut);
  log.end = log.written;
  log.flushed = lesser(log.flushed, cut);
  log.durable = lesser(log.durable, cut);
  log.highWatermark = lesser(log.highWatermark, cut);
}

async function cutFailed(log: LogState, error: unknown): Promise<unknown> {
  if (error instanceof LogError) return error;
  const seen = await damageSeen(log, error);
  return seen === error ? log.context.fail(error, `cutting ${log.directory}`) : seen;
}

async function cutSegments(log: LogState, cut: Offset): Promise<Offset> {
  releaseFile(log);
  // A segment of which nothing stays goes, so that the batch before the cut, or a gap there, is at the end of the last one.
  const keep = segmentIndexFor(log.segments, (cut - 1n) as Offset);
  const last = log.segments[keep];
  if (last === undefined) return log.end;
  await inStep(log, () => removeBegunSegment(log));
  const isBetween = await inStep(log, () => cutBehind(log, last, { cut, keep }));
  const end = isBetween ? await inStep(log, () => reachCut(log, last, cut)) : lesser(cut, last.nextOffset);
  last.nextOffset = end;
  // Epochs of batches that were dropped before they were written never were, also below the cut.
  log.epochs = cutEpochsAtEnd(log.epochs, end);
  await inStep(log, () => cutEpochFile(log.context, log.epochFile, log.epochs));
  await syncEpochs(log.epochFile);
  settleAt(log, end);
  await inStep(log, () => afterCut(log));
  return end;
}

/** Takes the bytes above the cut. Returns whether the log is to reach up to it without a batch. */
async function cutBehind(
  log: LogState,
  last: Segment,
  { cut, keep }: { readonly cut: Offset; readonly keep: number },
): Promise<boolean> {
  const covered = await coverageBelow(log, last, cut);
  await lowerNotes(log, lesser(cut, covered.nextOffset));
  await removeSegments(log, log.segments.slice(keep + 1));
  log.segments = log.segments.slice(0, keep + 1);
  const isBetween = await liesBetweenBatches(log, last, { cut, covered });
  await cutSegment(log, last, covered);
  return isBetween;
}

/**
 * A step of a cut is done again where there was no room or no file handle for it, since nobody can be told any more that
 * what was cut is there. Where the log is closed meanwhile, a start finds what a crash would have left.
 */
async function inStep<Value>(log: LogState, work: () => Promise<Value>): Promise<Value> {
  try {
    return await untilThereIsRoom(log, work);
  } catch (error) {
    log.writer.isCutHalf = true;
    throw error;
  }
}

/**
 * Whether there is nothing right below the cut, since compaction took it: neither the end of a batch nor a part of one.
 * What waits to be written anew must stay in the last segment; then the log ends where its last batch does.
 */
async function liesBetweenBatches(
  log: LogState,
  last: Segment,
  { cut, covered }: { readonly cut: Offset; readonly covered: Coverage },
): Promise<boolean> {
  if (covered.nextOffset >= cut || (log.tail !== undefined && log.tail.from < covered.nextOffset)) return false;
  // What was appended up to the cut and never written is no gap: it goes, and is fetched again.
  if (covered.bytes >= last.size) return last.nextOffset >= cut;
  const { file, release } = await log.context.files.acquire(last.path);
  try {
    const range = { from: covered.bytes, length: batchHeaderBytes, offset: covered.nextOffset };
    const found = readBatchHeader(await readOrDamage(file, last, range));
    return found.kind !== "malformed" && found.header !== undefined && found.header.baseOffset >= cut;
  } finally {
    release();
  }
}

/**
 * The log ends at the cut, though no batch does. Returns where it ends: on a full disk, where its last batch does.
 * Nothing can stand for a gap at the very beginning: then an empty segment says where the log goes on.
 */
async function reachCut(log: LogState, last: Segment, cut: Offset): Promise<Offset> {
  try {
    if (await fillGap(log, last, cut)) return cut;
    log.segments = [...log.segments, await createEmpty(log, cut)];
    return cut;
  } catch (error) {
    if (!isSpaceError(error) || error.code !== "NO_SPACE") throw error;
    return last.nextOffset;
  }
}

/** Where a log begins, or goes on, at `start`; durable on return. */
async function createEmpty({ context, directory }: LogState, start: Offset): Promise<Segment> {
  const segment = createSegment(directory, start);
  segment.index = createSegmentIndex(start);
  await createSegmentFile(context, segment);
  await syncEntries(context, directory);
  return segment;
}

/** The producers and the compaction of a log that ends earlier. */
async function afterCut(log: LogState): Promise<void> {
  const cleaned = cutRounds(log.cleaned, log.end);
  if (cleaned !== log.cleaned) {
    await writeRounds(log.context, log.directory, cleaned);
    log.cleaned = cleaned;
    log.markersGone = lesser(log.markersGone, log.end);
  }
  await rebuildProducers(log);
}

/** Lowers what is noted, durably, before anything goes: a crash in between must not look like damage (L4). */
async function lowerNotes(log: LogState, cut: Offset): Promise<void> {
  if (!log.context.guards.lowerNotesBeforeCut) return;
  const { flushed, highWatermark, logStart } = log.checkpoint.offsets;
  await persistOffsets(log.context, log.checkpoint, {
    flushed: lesser(flushed, cut),
    highWatermark: lesser(highWatermark, cut),
    logStart: lesser(logStart, cut),
  });
}

async function cutSegment(log: LogState, segment: Segment, covered: Coverage): Promise<void> {
  const index = await ensureIndex(log, segment);
  // It grows again: from here on its index stays, whatever others need the room for.
  log.context.indexes.forget(segment);
  segment.index = index;
  await removeIndex(log.context, segment);
  await syncEntries(log.context, log.directory);
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    await file.truncate(covered.bytes);
    await file.sync();
  } finally {
    release();
  }
  cutIndex(index, covered, segment.baseOffset);
  segment.size = covered.bytes;
  segment.nextOffset = covered.nextOffset;
}

async function replaceSegments(log: LogState, start: Offset): Promise<Offset> {
  const { context } = log;
  releaseFile(log);
  await inStep(log, async () => {
    await removeBegunSegment(log);
    await persistOffsets(context, log.checkpoint, { flushed: start, highWatermark: start, logStart: start });
    await removeSnapshots(context, log.directory);
    await removeSegments(log, log.segments);
  });
  log.segments = [await inStep(log, () => createEmpty(log, start))];
  log.epochs = [];
  await inStep(log, () => replaceEpochFile(context, log.epochFile, log.epochs));
  log.logStart = start;
  log.storedLogStart = start;
  log.highWatermark = start;
  log.durable = start;
  log.tail = undefined;
  settleAt(log, start);
  await inStep(log, () => afterCut(log));
  return start;
}

/** From the last on, each made durable before the next: a crash leaves a log without its end, never with a hole. */
async function removeSegments(log: LogState, segments: readonly Segment[]): Promise<void> {
  for (const segment of segments.toReversed()) {
    await removeIndex(log.context, segment);
    log.context.files.forget(segment.path);
    await log.context.disk.remove(segment.path);
    await syncEntries(log.context, log.directory);
  }
}

function settleAt(log: LogState, end: Offset): void {
  log.generation++;
  log.end = end;
  log.written = end;
  log.logStart = lesser(log.logStart, end);
  log.storedLogStart = lesser(log.storedLogStart, end);
  log.highWatermark = greater(lesser(log.highWatermark, end), log.logStart);
  // The sync of the cut reached everything before it, except what waits to be written anew.
  if (log.tail !== undefined && log.tail.from >= end) log.tail = undefined;
  log.durable = log.tail === undefined ? end : lesser(log.durable, end);
  log.flushed = log.settings.flush === "async" ? end : log.durable;
  noteOffsets(log.context, log.checkpoint, offsetsToNote(log));
  tell(log, { kind: "cut", end });
}
