/**
 * `leader-epoch-checkpoint`: a line for each leader epoch, "<epoch> <start offset> <crc32c of both>".
 *
 * A new epoch is a line more. A crash may tear the last line, which then does not count: an epoch is in the file,
 * synced, before a batch of it counts as flushed, and what was not flushed is read again at the next start.
 * A cut of the log takes lines from the end; when the log start moves, the file is written anew aside and renamed (L5).
 */
import type { DiskFile, PooledFile } from "@tidemark/disk";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { putInPlace } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { epochFileName, join } from "../names.ts";
import { type EpochCache, type EpochStart, latestEpoch } from "./epoch-cache.ts";

export interface EpochFile {
  readonly directory: string;
  /** How much of the file counts, in bytes: new lines go there. */
  end: number;
  /** Lines to be written. */
  added: readonly EpochStart[];
  /** From a write to the sync behind it. */
  held: PooledFile | undefined;
  /** It is in the place of an older one that a power cut may bring back: nothing is written to it before that is over. */
  isEntryUnsynced: boolean;
  /** Lines that can be read may not be on the disk: all are written anew before a batch of theirs counts as flushed (L4). */
  isUncertain: boolean;
}

/**
 * The file as a start finds it, of which `end` bytes count. Whoever wrote it may have died, or seen its sync fail, before
 * its last lines and its entry were durable. Lines of leader epochs that begin below `flushed` were durable before.
 */
export function createEpochFile(
  directory: string,
  { end, cache, flushed }: { readonly end: number; readonly cache: EpochCache; readonly flushed: bigint },
): EpochFile {
  const isUncertain = (cache.at(-1)?.startOffset ?? -1n) >= flushed;
  return { directory, end, added: noLines, held: undefined, isEntryUnsynced: true, isUncertain };
}

const noLines: readonly EpochStart[] = [];

/** A line to be written; nothing happens before `writeEpochs`. */
export function addEpochLine(file: EpochFile, start: EpochStart): void {
  file.added = [...file.added, start];
}

/** True while `syncEpochs` has something to do. */
export function hasUnsyncedEpochs(file: EpochFile): boolean {
  return file.held !== undefined;
}

/** Writes all lines of a file anew that is uncertain, durably on return. Nothing happens where it is not. */
export async function secureEpochs(context: LogContext, file: EpochFile, cache: EpochCache): Promise<void> {
  if (file.isUncertain) await replaceEpochFile(context, file, cache);
}

/** Writes the lines that were added. Where that fails they are still to be written. */
export async function writeEpochs(context: LogContext, file: EpochFile): Promise<void> {
  const { added } = file;
  if (added.length === 0) return;
  const bytes = encodeEpochs(added, context);
  await syncEntry(context, file);
  file.held ??= await context.files.acquire(pathOf(file));
  await file.held.file.write(file.end, [bytes]);
  file.end += bytes.length;
  // More may have come meanwhile.
  file.added = file.added.slice(added.length);
}

/** Makes what was written durable. */
export async function syncEpochs(file: EpochFile): Promise<void> {
  const { held } = file;
  if (held === undefined) return;
  await held.file.sync();
  file.held = undefined;
  held.release();
}

/** Lets go of the file; what is not synced in it stays so. */
export function releaseEpochs(file: EpochFile): void {
  file.held?.release();
  file.held = undefined;
}

/** Forgets all lines but those of `cache`, which is how the lines begin. Durable after `syncEpochs`. */
export async function cutEpochFile(context: LogContext, file: EpochFile, cache: EpochCache): Promise<void> {
  const latest = latestEpoch(cache) ?? -1;
  file.added = file.added.filter((start) => start.leaderEpoch <= latest);
  const end = encodeEpochs(cache.slice(0, cache.length - file.added.length), context).length;
  // What is synced ends there: nothing is to be cut, and no file handle, of which there may be none, is needed for it.
  if (file.held === undefined && end === file.end) return;
  await syncEntry(context, file);
  file.held ??= await context.files.acquire(pathOf(file));
  await file.held.file.truncate(end);
  file.end = end;
}

/** Replaces everything by `cache`, durable on return. */
export async function replaceEpochFile(context: LogContext, file: EpochFile, cache: EpochCache): Promise<void> {
  await putEpochFile(context, file, cache);
  await syncEntry(context, file);
  file.isUncertain = false;
}

/**
 * The same, but that a power cut may bring the old file back as long as nothing is written to the new one. Where it fails
 * the file is as it was, and lines that were added are still to be written.
 */
export async function putEpochFile(context: LogContext, file: EpochFile, cache: EpochCache): Promise<void> {
  const { added } = file;
  const bytes = encodeEpochs(cache, context);
  await putInPlace(context, pathOf(file), (aside) => aside.write(0, [bytes]));
  file.isEntryUnsynced = true;
  // More may have come meanwhile.
  file.added = file.added.slice(added.length);
  releaseEpochs(file);
  file.end = bytes.length;
}

async function syncEntry(context: LogContext, file: EpochFile): Promise<void> {
  if (!file.isEntryUnsynced) return;
  await syncEntries(context, file.directory);
  file.isEntryUnsynced = false;
}

function pathOf({ directory }: EpochFile): string {
  return join(directory, epochFileName);
}

/** Reads the lines up to the first that is torn or wrong. `size`: bytes of them. `whole`: there is nothing behind them. */
export async function readEpochFile(
  file: DiskFile,
  context: Pick<LogContext, "crc32c">,
): Promise<{ readonly cache: EpochCache; readonly size: number; readonly whole: boolean }> {
  const bytes = await file.read(0, await file.size());
  const cache: EpochStart[] = [];
  let size = 0;
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const start = parseLine(line, context);
    const latest = cache.at(-1);
    if (start === undefined) break;
    if (latest !== undefined && (latest.leaderEpoch >= start.leaderEpoch || latest.startOffset > start.startOffset)) {
      break;
    }
    cache.push(start);
    size += line.length + 1;
  }
  return { cache, size, whole: size === bytes.length };
}

export function encodeEpochs(cache: EpochCache, context: Pick<LogContext, "crc32c">): Uint8Array {
  const lines = cache.map(({ leaderEpoch, startOffset }) => {
    const fields = `${leaderEpoch} ${startOffset}`;
    return `${fields} ${checksum(fields, context)}\n`;
  });
  return new TextEncoder().encode(lines.join(""));
}

function parseLine(line: string, context: Pick<LogContext, "crc32c">): EpochStart | undefined {
  const found = /^((\d+) (\d+)) ([0-9a-f]{8})$/.exec(line);
  if (found === null || found[1] === undefined || found[3] === undefined) return undefined;
  if (checksum(found[1], context) !== found[4]) return undefined;
  return { leaderEpoch: Number(found[2]) as LeaderEpoch, startOffset: BigInt(found[3]) as Offset };
}

function checksum(text: string, { crc32c }: Pick<LogContext, "crc32c">): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
