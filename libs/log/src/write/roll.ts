import type { Offset } from "@tidemark/ids";
import { persistOffsets } from "../checkpoint/offset-checkpoint.ts";
import { syncEntries } from "../context.ts";
import { hasUnsyncedEpochs, syncEpochs } from "../epochs/epoch-file.ts";
import { createSegmentIndex } from "../index/segment-index.ts";
import { activeSegment, type LogState, offsetsToNote } from "../log-state.ts";
import { noProducerState, writeSnapshot } from "../producers/producer-state.ts";
import { ensureIndex } from "../read/find.ts";
import { createSegment, createSegmentFile, writeIndex } from "../segment/segment.ts";
import { ifThereIsSpace } from "../space.ts";

/**
 * Ends the active segment and begins the next one at `baseOffset`. Before a segment has a successor, all of it is
 * flushed and noted as such: only the last segment of a log can hold what a crash takes away.
 */
export async function rollSegment(log: LogState, baseOffset: Offset): Promise<void> {
  const { context } = log;
  const active = activeSegment(log);
  await flushActive(log);
  // Behind the next segment's beginning nothing must come back.
  if (log.writer.mayRegrow) await syncActive(log);
  await persistOffsets(log.context, log.checkpoint, offsetsToNote(log));
  if (active.index !== undefined) await writeIndex(context, active, active.index, baseOffset);
  const next = createSegment(log.directory, baseOffset);
  next.index = createSegmentIndex(baseOffset);
  await keepSnapshot(log);
  log.writer.begunSegment = next.path;
  await createSegmentFile(context, next);
  await syncEntries(context, log.directory);
  log.writer.begunSegment = undefined;
  active.nextOffset = baseOffset;
  log.segments = [...log.segments, next];
  if (active.index !== undefined) context.indexes.touch(active, active.index);
}

/**
 * Takes a roll back that went ahead to where batches were to go which were refused then: what comes instead may begin
 * before that.
 */
export async function removeSegmentAhead(log: LogState): Promise<void> {
  const [previous, active] = log.segments.slice(-2);
  if (previous === undefined || active === undefined) return;
  if (active.size > 0 || active.baseOffset <= log.written) return;
  const { context } = log;
  releaseFile(log);
  const index = await ensureIndex(log, previous);
  log.writer.begunSegment = active.path;
  await removeBegunSegment(log);
  // It grows again, though others may have needed the room of its index meanwhile.
  context.indexes.forget(previous);
  previous.index = index;
  previous.nextOffset = log.written;
  log.segments = log.segments.slice(0, -1);
}

/** Lets go of the active segment's file; what is not flushed in it stays so. */
export function releaseFile({ writer }: LogState): void {
  writer.held?.release();
  writer.held = undefined;
  writer.indexedBytes = 0;
}

/** Removes what a roll left that found no room or file handle half way, durably. */
export async function removeBegunSegment({ writer, context, directory }: LogState): Promise<void> {
  if (writer.begunSegment === undefined) return;
  context.files.forget(writer.begunSegment);
  await context.disk.remove(writer.begunSegment);
  await syncEntries(context, directory);
  writer.begunSegment = undefined;
}

/**
 * Keeps the producers' state, which covers what waits to be written as well. Not while the log is to be cut: the state
 * has seen then what lies above the end.
 */
export async function keepSnapshot(log: LogState): Promise<void> {
  const { end } = log;
  // An empty log has none, and one that did not grow has it.
  if (log.producers === noProducerState || log.cutting > 0 || end === 0n || log.snapshotAt === end) return;
  const snapshot = { offset: end, state: log.producers.snapshot() };
  const { cuts } = log;
  await ifThereIsSpace(async () => {
    await writeSnapshot(log.context, log.directory, snapshot);
    if (cuts === log.cuts) log.snapshotAt = end;
  });
}

/** Makes everything that was written durable, also where nobody waits for it. */
export async function flushActive(log: LogState): Promise<void> {
  if (hasUnsyncedEpochs(log.epochFile)) await syncOrFail(log, () => syncEpochs(log.epochFile));
  if (log.durable !== log.written) await syncActive(log);
}

async function syncActive(log: LogState): Promise<void> {
  const target = log.written;
  const { file, release } = await log.context.files.acquire(activeSegment(log).path);
  try {
    await syncOrFail(log, () => file.sync());
  } finally {
    release();
  }
  log.durable = target;
  log.writer.mayRegrow = false;
}

/** A full disk too is the end of the directory here: the next sync would succeed without what this one lost (L6). */
async function syncOrFail({ context, directory }: LogState, sync: () => Promise<void>): Promise<void> {
  try {
    await sync();
  } catch (error) {
    throw context.fail(error, `flushing ${directory}`);
  }
}
