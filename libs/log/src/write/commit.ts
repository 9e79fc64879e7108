/** What the writer does with the queue: secure the tail of a start, roll, write, flush; one group at a time. */

import type { Offset } from "@tidemark/ids";
import { nextOffsetOf } from "@tidemark/record";
import { noteOffsets, rememberOffsets, writeOffsets } from "../checkpoint/offset-checkpoint.ts";
import { cutEpochsAtEnd } from "../epochs/epoch-cache.ts";
import { cutEpochFile, hasUnsyncedEpochs, secureEpochs, syncEpochs, writeEpochs } from "../epochs/epoch-file.ts";
import { DamageError, LogError } from "../errors.ts";
import { isWithinReach } from "../index/segment-index.ts";
import { activeSegment, type LogState, offsetsToNote, type UnflushedTail } from "../log-state.ts";
import { noProducerState, removeSnapshotsAbove } from "../producers/producer-state.ts";
import { keepRecent } from "../read/recent.ts";
import { damageSeen } from "../read/stable.ts";
import { rewriteTail } from "../recovery/rewrite-tail.ts";
import { extendIndex, type Segment, writeIndex } from "../segment/segment.ts";
import { ifThereIsSpace, isSpaceError } from "../space.ts";
import { tell } from "../tell.ts";
import { haveGap, noteGaps } from "./gaps.ts";
import { type Group, takeGroup } from "./queue.ts";
import { keepSnapshot, releaseFile, removeBegunSegment, removeSegmentAhead, rollSegment } from "./roll.ts";

/** An index file is written anew after so many bytes of log at most, so that little is read again after a kill. */
const indexEveryBytesMax = 64 * 1024 * 1024;

/** `noRoomForTail`: what a start found could not be secured yet, and is to be tried again, also where nothing is appended. */
export type CommitOutcome = "done" | "noRoomForTail";

/** Commits what fits into one group. Whatever goes wrong is told as `refused`, or as the directory's failure. */
export async function commitNext(log: LogState): Promise<CommitOutcome> {
  const { context } = log;
  try {
    if (context.failure() === undefined && log.status.kind === "online") return await commit(log);
    refuseAll(log, context.failure());
  } catch (error) {
    const seen = error instanceof DamageError ? await damageSeen(log, error) : error;
    const failure = seen instanceof LogError ? seen : context.fail(seen, `appending to ${log.directory}`);
    refuseAll(log, failure);
  }
  return "done";
}

async function commit(log: LogState): Promise<CommitOutcome> {
  const { writer } = log;
  writer.hasTail = false;
  if (log.tail !== undefined && !(await hasSpaceForTail(log, log.tail))) return "noRoomForTail";
  const isToForget = writer.hasRefused || writer.begunSegment !== undefined;
  if (isToForget && !(await hasSpaceFor(log, () => forgetRefused(log)))) return "done";
  await commitGroup(log);
  return "done";
}

async function commitGroup(log: LogState): Promise<void> {
  const { writer } = log;
  const segment = activeSegment(log);
  const { index } = segment;
  if (index === undefined) throw new Error("Broken invariant: the active segment has its index");
  if (writer.queue.length === 0) {
    // Where it finds no room it goes before the next batch.
    if (writer.hasEpoch) await ifThereIsSpace(() => writeEpochs(log.context, log.epochFile));
    writer.hasEpoch = false;
    return;
  }
  const { cuts } = log;
  const group = takeGroup(writer.queue, { segment, index }, log.settings);
  if (group === undefined) {
    await hasSpaceFor(log, () => roll(log));
    return;
  }
  const { clock } = log.context.runtime;
  const startMs = clock.monotonicMs();
  const isFirstGap = !log.hasGaps && haveGap(group.headers, log.written);
  if (isFirstGap && !(await hasSpaceFor(log, () => noteGaps(log)))) return;
  if (!(await hasSpaceFor(log, () => write(log, group, segment)))) return;
  const position = segment.size;
  for (const header of group.headers) extendIndex(index, header, segment, log.settings.indexIntervalBytes);
  segment.size += group.size;
  segment.nextOffset = group.nextOffset;
  // A cut that came meanwhile runs next, and takes away what was just written.
  if (cuts === log.cuts) {
    log.written = group.nextOffset;
    keepRecent(log, group.taken);
    log.producers.written(log.written);
    const { baseOffset } = segment;
    const writeMs = clock.monotonicMs() - startMs;
    const batches = group.headers.length;
    tell(log, { kind: "written", upTo: log.written, group: { batches, writeMs, segment: baseOffset, position } });
  }
  await flush(log, group.nextOffset, cuts);
  if (segment.size - writer.indexedBytes >= Math.min(indexEveryBytesMax, log.settings.segmentBytes / 4)) {
    writer.indexedBytes = segment.size;
    await writeIndex(log.context, segment, index);
    await keepSnapshot(log);
  }
}

/** What a start found behind the recovery point comes before anything else. */
async function secureTail(log: LogState, tail: UnflushedTail): Promise<void> {
  await secureEpochs(log.context, log.epochFile, log.epochs);
  if (log.context.guards.rewriteUnflushedTail) await rewriteTail(log, tail);
  log.tail = undefined;
  // A cut that came meanwhile runs next, and says itself what is flushed then.
  if (log.cutting === 0) noteFlushed(log, log.written, { durable: log.written });
}

/**
 * False when the disk was full. Whoever waits for the flush of what the start found goes on waiting then, since that is in
 * the log.
 */
async function hasSpaceForTail(log: LogState, tail: UnflushedTail): Promise<boolean> {
  try {
    await secureTail(log, tail);
    return true;
  } catch (error) {
    if (!isSpaceError(error)) throw error;
    if (log.writer.queue.length > 0 || log.writer.hasEpoch) await refuseForSpace(log, error);
    return false;
  }
}

async function write(log: LogState, group: Group, { path, size }: Segment): Promise<void> {
  const { writer } = log;
  writer.hasEpoch = false;
  await secureEpochs(log.context, log.epochFile, log.epochs);
  await writeEpochs(log.context, log.epochFile);
  writer.held ??= await log.context.files.acquire(path);
  const { file } = writer.held;
  try {
    await file.write(
      size,
      group.taken.map(({ bytes }) => bytes),
    );
  } catch (error) {
    // A part may have been written: no half batch stays (L6).
    if (isSpaceError(error)) {
      writer.mayRegrow = true;
      await file.truncate(size);
    }
    throw error;
  }
}

async function flush(log: LogState, target: Offset, cuts: number): Promise<void> {
  const { writer } = log;
  const { guards } = log.context;
  const held = writer.held;
  if (log.settings.flush === "async") {
    writer.held = undefined;
    held?.release();
    if (cuts === log.cuts) noteFlushed(log, target, { durable: log.durable });
    return;
  }
  if (!guards.checkpointNeverAhead)
    noteOffsets(log.context, log.checkpoint, { ...offsetsToNote(log), flushed: target });
  let syncMs: number | undefined;
  if (guards.flushBeforeAck) {
    const { runtime, onFlush } = log.context;
    const startMs = runtime.clock.monotonicMs();
    if (hasUnsyncedEpochs(log.epochFile)) await syncEpochs(log.epochFile);
    const synced = held?.file.sync();
    // Of the flush before: while the device is busy with this one it costs no time.
    writeOffsets(log.context, log.checkpoint);
    await synced;
    writer.mayRegrow = false;
    syncMs = runtime.clock.monotonicMs() - startMs;
    onFlush?.(syncMs);
  }
  writer.held = undefined;
  held?.release();
  // L9: a flush that began before a cut counts for nothing above it.
  if (guards.cutEndsFlushes && cuts !== log.cuts) return;
  noteFlushed(log, target, { durable: target, syncMs });
}

function noteFlushed(
  log: LogState,
  flushed: Offset,
  { durable, syncMs }: { readonly durable: Offset; readonly syncMs?: number | undefined },
): void {
  log.flushed = flushed;
  if (durable !== log.durable) {
    log.durable = durable;
    rememberOffsets(log.context, log.checkpoint, offsetsToNote(log));
  }
  tell(log, { kind: "flushed", upTo: flushed, syncMs });
}

async function roll(log: LogState): Promise<void> {
  releaseFile(log);
  await rollSegment(log, baseOfNext(log));
}

/**
 * The next segment begins at what is written; but where compaction left so much out of the leader's log that what follows
 * is out of its reach, at what follows.
 */
function baseOfNext({ writer, written }: LogState): Offset {
  const next = writer.queue[0]?.headers[0];
  return next === undefined || isWithinReach(nextOffsetOf(next), written) ? written : next.baseOffset;
}

/** False when the disk was full: then everything that waits is refused. */
async function hasSpaceFor(log: LogState, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!isSpaceError(error)) throw error;
    await refuseForSpace(log, error);
    return false;
  }
}

async function refuseForSpace(log: LogState, cause: unknown): Promise<void> {
  refuseAll(log, new LogError("NO_SPACE", `No space to append to ${log.directory}`, { cause }));
  log.writer.hasRefused = true;
  await ifThereIsSpace(() => forgetRefused(log));
}

function refuseAll(log: LogState, cause: LogError | undefined): void {
  const { writer } = log;
  writer.queue.length = 0;
  writer.hasEpoch = false;
  writer.hasTail = false;
  log.end = log.written;
  // An epoch that begins at the end stays: its leader wrote nothing yet.
  log.epochs = cutEpochsAtEnd(log.epochs, (log.end + 1n) as Offset);
  const isOver = log.context.failure() !== undefined || log.status.kind !== "online";
  if (!isOver) takeBackProducers(log);
  tell(log, {
    kind: "refused",
    from: log.end,
    error: cause ?? new LogError("OFFLINE", `${log.directory} went offline`),
  });
}

/** The producers' state has seen batches that are not there, and a snapshot may have kept them. */
function takeBackProducers(log: LogState): void {
  if (log.producers === noProducerState) return;
  const { end } = log;
  log.producers.takeBack(end);
  log.snapshotAt = undefined;
}

/** Takes from the disk what covers batches that were refused, before anything else is written. */
async function forgetRefused(log: LogState): Promise<void> {
  await removeBegunSegment(log);
  await removeSegmentAhead(log);
  await cutEpochFile(log.context, log.epochFile, log.epochs);
  if (log.producers !== noProducerState) await removeSnapshotsAbove(log.context, log.directory, log.written);
  log.writer.hasRefused = false;
}
