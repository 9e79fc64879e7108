/**
 * Puts one segment in the place of several neighbours. It takes the name of the first.
 *
 * | step | on disk                                                             | a crash then                          |
 * |------|---------------------------------------------------------------------|---------------------------------------|
 * | 1    | the new segment is in an aside file, synced; the old indexes go     | the old ones stay, as they were       |
 * | 2    | it is renamed to a swap file, whose name says what it replaces      | the next start goes on from here      |
 * | 3    | those that it replaces go, all but the first, and that is synced    | the same                              |
 * | 4    | the swap file is renamed over the first                             | nothing is left to do                 |
 *
 * Of one segment alone the aside file is renamed at once.
 */
import type { DirectoryEntry } from "@tidemark/disk";
import { type LogContext, syncEntries } from "../context.ts";
import { LogError } from "../errors.ts";
import type { SegmentIndex } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import {
  cleanedSuffix,
  join,
  parseSegmentFileName,
  parseSwapFileName,
  segmentFileName,
  swapFileName,
} from "../names.ts";
import { forgetRecentBelow } from "../read/recent.ts";
import { whileReplacing } from "../replacing.ts";
import { createSegment, removeIndex, type Segment, writeIndex } from "../segment/segment.ts";
import { untilThereIsRoom } from "../try-again.ts";

interface Replacement {
  /** Neighbours, in their order. */
  readonly group: readonly Segment[];
  /** Aside; what is in it is synced. */
  readonly cleaned: Segment;
  readonly index: SegmentIndex;
}

/** Readers take the new segment from here on; the renames make it so for the next start. */
export async function putInPlace(log: LogState, { group, cleaned, index }: Replacement): Promise<void> {
  const { context, directory } = log;
  for (const segment of group) await removeIndex(context, segment);
  await syncEntries(context, directory);
  if (group.length > 1) await putInPlaceOfAll(log, { group, cleaned });
  else await rename(log, { group, cleaned }, join(directory, segmentFileName(cleaned.baseOffset, "log")));
  await writeIndex(context, cleaned, index, cleaned.nextOffset);
}

/**
 * From the first rename on there is no way but through: a swap file that stayed while the log goes on would be put in the
 * place of newer segments by the next start. So whatever fails in between, a full disk too, is the directory's end.
 */
async function putInPlaceOfAll(log: LogState, { group, cleaned }: Omit<Replacement, "index">): Promise<void> {
  const { context, directory } = log;
  try {
    await rename(log, { group, cleaned }, join(directory, swapFileName(cleaned)));
    await removeReplaced(context, group.slice(1));
    await syncWhenThereIsRoom(log);
    await rename(log, { group, cleaned }, join(directory, segmentFileName(cleaned.baseOffset, "log")));
  } catch (error) {
    // Closed for want of a file handle, the log does not go on: the next start does with the replacement.
    if (error instanceof LogError) throw error;
    const isBegun = !cleaned.path.endsWith(cleanedSuffix);
    throw isBegun ? context.fail(error, `replacing segments of ${directory}`) : error;
  }
}

async function rename(log: LogState, { group, cleaned }: Omit<Replacement, "index">, path: string): Promise<void> {
  const { context } = log;
  await whileReplacing(log, async () => {
    await context.disk.rename(cleaned.path, path);
    context.files.forget(cleaned.path);
    context.files.forget(path);
    cleaned.path = path;
    for (const segment of group) context.indexes.forget(segment);
    forgetRecentBelow(log, cleaned.nextOffset);
    // The second time it stands there already.
    log.segments = log.segments.flatMap((other) =>
      other === group[0] ? [cleaned] : group.includes(other) ? [] : [other],
    );
  });
  await syncWhenThereIsRoom(log);
}

function syncWhenThereIsRoom(log: LogState): Promise<void> {
  return untilThereIsRoom(log, () => syncEntries(log.context, log.directory));
}

/** Goes on where a crash interrupted a replacement. True when there was one: the directory is to be listed anew. */
export async function finishSwaps(
  context: LogContext,
  directory: string,
  entries: readonly DirectoryEntry[],
): Promise<boolean> {
  const swaps = entries.flatMap(({ name }) => parseSwapFileName(name) ?? []);
  for (const swap of swaps) {
    const replaced = entries.flatMap(({ name }) => {
      const parsed = parseSegmentFileName(name);
      const isReplaced =
        parsed?.kind === "log" && parsed.baseOffset > swap.baseOffset && parsed.baseOffset < swap.nextOffset;
      return isReplaced ? [createSegment(directory, parsed.baseOffset)] : [];
    });
    await removeReplaced(context, replaced);
    await syncEntries(context, directory);
    const first = createSegment(directory, swap.baseOffset);
    await removeIndex(context, first);
    const path = join(directory, swapFileName(swap));
    await context.disk.rename(path, first.path);
    context.files.forget(path);
    context.files.forget(first.path);
    await syncEntries(context, directory);
  }
  return swaps.length > 0;
}

/** To be made durable, so that none of them is there once the swap file has its name. */
async function removeReplaced(context: LogContext, segments: readonly Segment[]): Promise<void> {
  for (const segment of segments) {
    await removeIndex(context, segment);
    context.files.forget(segment.path);
    await context.disk.remove(segment.path);
  }
}
