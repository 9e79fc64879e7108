/**
 * `gaps`: an empty file, there before the first batch that does not begin where the one before it ends: before the log is
 * compacted, and before a follower copies what its leader's compaction left. A start then takes no gap for a torn tail
 * (L4), and no reader takes one for damage, whatever the topic's policy is by that time. Without it, both do.
 */
import type { DirectoryEntry } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf } from "@tidemark/record";
import { createAside } from "../aside.ts";
import type { LogContext } from "../context.ts";
import type { LogState } from "../log-state.ts";
import { cleanerFileName, gapsFileName } from "../names.ts";
import { ifThereIsSpace } from "../space.ts";

export function haveGap(headers: readonly BatchHeader[], from: Offset): boolean {
  let end = from;
  for (const header of headers) {
    if (header.baseOffset !== end) return true;
    end = nextOffsetOf(header);
  }
  return false;
}

/**
 * Whether a batch cannot be where the one before it ends at `least`. A checksum leaves the base offset out: only this
 * shows that it changed.
 */
export function isElsewhere({ baseOffset }: BatchHeader, least: Offset, hasGaps: boolean): boolean {
  return hasGaps ? baseOffset < least : baseOffset !== least;
}

/** Durable on return, so that it is there before the first gap. */
export async function noteGaps(log: LogState): Promise<void> {
  await createAside(log.context, log.directory, gapsFileName, new Uint8Array(0));
  log.hasGaps = true;
}

/**
 * Whether the files of a log say that it may have gaps. There was a time when those that were compacted here had not this
 * file: where a round was ended, the cleaner's checkpoint says so.
 */
export function sayGaps(entries: readonly DirectoryEntry[]): boolean {
  return entries.some(({ name }) => name === gapsFileName || name === cleanerFileName);
}

/**
 * Whether a log that is opened may have gaps. Of one without the file, a compacted topic's may, since a round that a stop
 * ended left no checkpoint: from now on the file says it, for the time when the topic is not compacted any more. Where there
 * is no room for it, the next start sees the same.
 */
export async function findGaps(
  context: LogContext,
  directory: string,
  { entries, isCompacted }: { readonly entries: readonly DirectoryEntry[]; readonly isCompacted: boolean },
): Promise<boolean> {
  if (entries.some(({ name }) => name === gapsFileName)) return true;
  if (!isCompacted && !sayGaps(entries)) return false;
  await ifThereIsSpace(() => createAside(context, directory, gapsFileName, new Uint8Array(0)));
  return true;
}
