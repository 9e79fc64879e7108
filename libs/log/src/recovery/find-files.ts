import { type DirectoryEntry, DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { type LogContext, syncEntries } from "../context.ts";
import type { EpochCache } from "../epochs/epoch-cache.ts";
import { readEpochFile } from "../epochs/epoch-file.ts";
import { DamageError } from "../errors.ts";
import { asideSuffix, epochFileName, join, offsetFileName, parseSegmentFileName, parseSwapFileName } from "../names.ts";
import { createSegment, type Segment } from "../segment/segment.ts";
import { ifReadable } from "../unreadable.ts";

export async function listOrDamage(context: LogContext, directory: string): Promise<readonly DirectoryEntry[]> {
  const entries = await unlessMissing(() => context.disk.list(directory));
  if (entries !== undefined) return entries;
  throw new DamageError({ kind: "missing", offset: 0n as Offset, detail: `${directory} is not there` });
}

/**
 * Throws DamageError where a directory has the name of a file that the log cannot do without: a segment, a checkpoint,
 * something on its way. Of those that it can do without, such as indexes, it stays unread and unwritten.
 */
export function assertFiles(directory: string, entries: readonly DirectoryEntry[]): void {
  for (const { name, kind } of entries) {
    if (kind === "file" || !isNeeded(name)) continue;
    const offset = parseSegmentFileName(name)?.baseOffset ?? (0n as Offset);
    throw new DamageError({ kind: "unreadable", offset, detail: `${join(directory, name)} is a directory` });
  }
}

function isNeeded(name: string): boolean {
  if (name === epochFileName || name === offsetFileName || name.endsWith(asideSuffix)) return true;
  return parseSegmentFileName(name)?.kind === "log" || parseSwapFileName(name) !== undefined;
}

export async function unlessMissing<Value>(work: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

/**
 * The segments by base offset, with the sizes of their files. Each but the last ends where the next one begins. One that
 * a compaction was about to put in the place of others stands for them.
 */
export async function findSegments(
  context: LogContext,
  directory: string,
  entries: readonly DirectoryEntry[],
): Promise<Segment[]> {
  const names = namesOfFiles(entries);
  const swaps = names.flatMap((name) => {
    const parsed = parseSwapFileName(name);
    return parsed === undefined ? [] : [{ name, ...parsed }];
  });
  const files = names.flatMap((name) => {
    const parsed = parseSegmentFileName(name);
    if (parsed?.kind !== "log") return [];
    const { baseOffset } = parsed;
    const isReplaced = swaps.some((swap) => baseOffset >= swap.baseOffset && baseOffset < swap.nextOffset);
    return isReplaced ? [] : [{ name, baseOffset }];
  });
  const segments: Segment[] = [];
  for (const { name, baseOffset } of [...files, ...swaps].sort((a, b) => (a.baseOffset < b.baseOffset ? -1 : 1))) {
    const segment = createSegment(directory, baseOffset);
    segment.path = join(directory, name);
    segment.size = await sizeOf(context, segment.path);
    const previous = segments.at(-1);
    if (previous !== undefined) previous.nextOffset = baseOffset;
    segments.push(segment);
  }
  return segments;
}

/** A segment that a start was about to put behind the last one, when it was interrupted. */
export async function findAsideSegment(
  context: LogContext,
  directory: string,
  entries: readonly DirectoryEntry[],
): Promise<Segment | undefined> {
  for (const name of namesOfFiles(entries)) {
    const parsed = name.endsWith(asideSuffix) ? parseSegmentFileName(name.slice(0, -asideSuffix.length)) : undefined;
    if (parsed?.kind !== "log") continue;
    const segment = createSegment(directory, parsed.baseOffset);
    segment.path += asideSuffix;
    segment.size = await sizeOf(context, segment.path);
    return segment;
  }
  return undefined;
}

/** Removes what was written aside and not renamed, so that it is not there when its name would mean something else. */
export async function removeAsides(
  context: LogContext,
  directory: string,
  entries: readonly DirectoryEntry[],
): Promise<void> {
  const asides = entries.filter(({ name }) => name.endsWith(asideSuffix));
  if (asides.length === 0) return;
  for (const { name } of asides) {
    context.files.forget(join(directory, name));
    await context.disk.remove(join(directory, name));
  }
  await syncEntries(context, directory);
}

/**
 * Undefined when the file is missing, torn, or cannot be read: then the batches tell the epochs. What they do not tell is an
 * epoch without records, and a log that knows none of those agrees with others as far as its batches do (KIP-279).
 */
export async function readEpochs(
  context: LogContext,
  directory: string,
): Promise<{ readonly cache: EpochCache; readonly size: number } | undefined> {
  const found = await ifReadable(async () => {
    // To be written to as well: one that may only be read is made anew.
    const { file, release } = await context.files.acquire(join(directory, epochFileName));
    try {
      return await readEpochFile(file, context);
    } finally {
      release();
    }
  });
  return found?.whole === true ? found : undefined;
}

function namesOfFiles(entries: readonly DirectoryEntry[]): readonly string[] {
  return entries.flatMap(({ name, kind }) => (kind === "file" ? [name] : []));
}

async function sizeOf(context: LogContext, path: string): Promise<number> {
  const { file, release } = await context.files.acquire(path);
  try {
    return await file.size();
  } finally {
    release();
  }
}
