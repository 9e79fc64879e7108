/**
 * Deleting at the beginning (L7): the log start moves first, durably, and files go later. Never past the high watermark.
 */

import type { Offset } from "@tidemark/ids";
import { persistOffsets } from "../checkpoint/offset-checkpoint.ts";
import { syncEntries } from "../context.ts";
import { cutEpochsAtStart } from "../epochs/epoch-cache.ts";
import { putEpochFile } from "../epochs/epoch-file.ts";
import { LogError } from "../errors.ts";
import { assertOnline, type LogState, offsetsToNote } from "../log-state.ts";
import { join, segmentFileName } from "../names.ts";
import { removeIndex, type Segment } from "../segment/segment.ts";
import { ifThereIsSpace } from "../space.ts";
import { tell } from "../tell.ts";
import { untilThereIsRoom } from "../try-again.ts";
import { flushActive } from "../write/roll.ts";
import { exclusive } from "../write/writer.ts";

/**
 * Records below `logStart` are gone on return, durably; the space of whole segments comes back. Nothing happens where
 * the log starts there or later. Throws OFFSET_OUT_OF_RANGE above the high watermark.
 */
export async function moveLogStart(log: LogState, logStart: Offset): Promise<void> {
  assertOnline(log);
  if (logStart > log.highWatermark) {
    const message = `The log start cannot pass the high watermark ${log.highWatermark}, to ${logStart}`;
    throw new LogError("OFFSET_OUT_OF_RANGE", message);
  }
  if (logStart <= log.logStart) return;
  log.logStart = logStart;
  tell(log, { kind: "logStart", logStart });
  try {
    // Whoever reads was told of it already: it is stored as soon as it can be.
    await untilThereIsRoom(log, () => storeLogStart(log));
    await removeSegmentsBelowStart(log);
  } catch (error) {
    throw error instanceof LogError ? error : log.context.fail(error, `moving the log start of ${log.directory}`);
  }
}

async function storeLogStart(log: LogState): Promise<void> {
  // With flush=async the high watermark may be above it: a power cut would leave a log that ends before it starts.
  if (log.durable < log.logStart) await exclusive(log, () => flushActive(log));
  const noted = offsetsToNote(log);
  await persistOffsets(log.context, log.checkpoint, noted);
  log.storedLogStart = noted.logStart;
}

/** Removes the files of segments that end at the log start or below. The active one stays. */
async function removeSegmentsBelowStart(log: LogState): Promise<void> {
  const below = log.segments.slice(0, -1).filter((segment) => segment.nextOffset <= log.logStart);
  if (below.length === 0) return;
  log.segments = log.segments.slice(below.length);
  log.generation++;
  // From the first on: what a crash leaves lies below the log start, and goes at the next start.
  for (const segment of below) {
    log.context.indexes.forget(segment);
    await removeSegment(log, segment);
  }
  // Both come with the next deletion, where there is no room or no file handle now.
  await ifThereIsSpace(() => exclusive(log, () => forgetEpochsBelowStart(log)));
  await ifThereIsSpace(async () => {
    await syncEntries(log.context, log.directory);
    log.epochFile.isEntryUnsynced = false;
  });
}

/** The list and its file go together: cuts go by the one where they cut the other. */
async function forgetEpochsBelowStart(log: LogState): Promise<void> {
  const { logStart } = log;
  const epochs = cutEpochsAtStart(log.epochs, logStart);
  if (epochs === log.epochs) return;
  await putEpochFile(log.context, log.epochFile, epochs);
  log.epochs = cutEpochsAtStart(log.epochs, logStart);
}

async function removeSegment(log: LogState, segment: Segment): Promise<void> {
  const { context, directory } = log;
  await removeIndex(context, segment);
  context.files.forget(segment.path);
  await context.disk.remove(segment.path);
  await context.disk.remove(join(directory, segmentFileName(segment.baseOffset, "snapshot")));
}
