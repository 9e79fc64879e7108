/**
 * What was written last, as it lies in memory already: followers and consumers at the log end get it without a read of the
 * disk, which would wait for a thread, and without another look at checksums that whoever appended has looked at.
 *
 * | what happens                              | what becomes of it                                |
 * |-------------------------------------------|---------------------------------------------------|
 * | it is written, and may be kept            | kept                                              |
 * | it is written, and may not be kept        | dropped, with everything before it                |
 * | the directory has no more room            | the oldest goes, of whichever log it is           |
 * | the log is cut, or closed                 | dropped                                           |
 * | its segment is compacted                  | dropped, with everything before it                |
 */
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf } from "@tidemark/record";
import type { LogState } from "../log-state.ts";
import type { QueuedBatches } from "../write/queue.ts";
import type { ReadLimits, ReadResult } from "./reader.ts";

/** What one log has in memory: it ends at what is written, and has no gap. Undefined: nothing. */
export type RecentBatches = RecentEntry[] | undefined;

interface RecentEntry extends QueuedBatches {
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  readonly of: LogState;
}

/** Room of a directory for what its logs wrote last. */
export interface RecentRoom {
  add(entry: RecentEntry): void;
  remove(entry: RecentEntry): void;
}

/** Bytes of all logs of a directory. */
export const recentBytesDefault = 16 * 1024 * 1024;

/** `maxBytes`: 0 keeps nothing. */
export function createRecentRoom(maxBytes: number): RecentRoom {
  // A set keeps the order of insertion: the oldest stands first, and it is the oldest of its log.
  const entries = new Set<RecentEntry>();
  let taken = 0;
  const remove = (entry: RecentEntry) => {
    if (entries.delete(entry)) taken -= bytesHeld(entry);
  };
  return {
    add(entry) {
      entries.add(entry);
      taken += bytesHeld(entry);
      for (const oldest of entries) {
        if (taken <= maxBytes) return;
        remove(oldest);
        oldest.of.recent?.shift();
      }
    },
    remove,
  };
}

/** A slice keeps all of its buffer. */
function bytesHeld({ bytes }: RecentEntry): number {
  return bytes.buffer.byteLength;
}

/** Takes note of what was just written. */
export function keepRecent(log: LogState, written: readonly QueuedBatches[]): void {
  for (const batches of written) {
    const [first, last] = [batches.headers[0], batches.headers.at(-1)];
    if (first === undefined || last === undefined) continue;
    if (!batches.mayKeep || log.recent?.at(-1)?.nextOffset !== first.baseOffset) forgetRecent(log);
    if (!batches.mayKeep) continue;
    const entry = { ...batches, baseOffset: first.baseOffset, nextOffset: nextOffsetOf(last), of: log };
    log.recent ??= [];
    log.recent.push(entry);
    log.context.recentRoom.add(entry);
  }
}

export function forgetRecent(log: LogState): void {
  for (const entry of log.recent ?? []) log.context.recentRoom.remove(entry);
  log.recent = undefined;
}

/** For what the disk no longer has as it was written. */
export function forgetRecentBelow(log: LogState, end: Offset): void {
  for (let [oldest] = log.recent ?? []; oldest !== undefined && oldest.nextOffset <= end; [oldest] = log.recent ?? []) {
    log.recent?.shift();
    log.context.recentRoom.remove(oldest);
  }
}

/** What a read of the disk would give. Undefined where `offset` is older than all that is here. */
export function readRecent(
  { recent }: Pick<LogState, "recent">,
  offset: Offset,
  { maxBytes, upTo }: Required<ReadLimits>,
): ReadResult | undefined {
  const from = recent?.findLastIndex(({ baseOffset }) => baseOffset <= offset) ?? -1;
  if (recent === undefined || from === -1) return undefined;
  const chunks: Uint8Array[] = [];
  let size = 0;
  let nextOffset = offset;
  for (const { bytes, headers } of recent.slice(from)) {
    const wanted = headers.filter((header) => nextOffsetOf(header) > offset);
    const fitting = wanted.slice(0, countFitting(wanted, { maxBytes, upTo, size }));
    const [first, last] = [fitting[0], fitting.at(-1)];
    if (first === undefined || last === undefined) break;
    const origin = headers[0]?.position ?? 0;
    const chunk = bytes.subarray(first.position - origin, last.position + last.sizeInBytes - origin);
    chunks.push(chunk);
    size += chunk.length;
    nextOffset = nextOffsetOf(last);
    // What follows upon one that does not fit does not either: it would leave a gap.
    if (fitting.length < wanted.length) break;
  }
  return { bytes: joined(chunks, size), nextOffset };
}

/** How many of these batches are within the limits, with `size` bytes before them. The first of all always is (L8). */
function countFitting(
  headers: readonly BatchHeader[],
  { maxBytes, upTo, size }: Required<ReadLimits> & { readonly size: number },
): number {
  let end = size;
  const tooFar = headers.findIndex((header) => {
    const isFirst = end === 0;
    end += header.sizeInBytes;
    return nextOffsetOf(header) > upTo || (end > maxBytes && !isFirst);
  });
  return tooFar === -1 ? headers.length : tooFar;
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
