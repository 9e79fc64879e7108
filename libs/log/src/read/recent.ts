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
 */
import type { Offset } from "@tidemark/ids";
import { nextOffsetOf } from "@tidemark/record";
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
    const fitting = headers.filter((header) => {
      const next = nextOffsetOf(header);
      // What follows upon one that does not fit does not either: it would leave a gap.
      const fits =
        next <= upTo && (size === 0 || size + header.sizeInBytes <= maxBytes) && header.baseOffset <= nextOffset;
      if (next <= offset || !fits) return false;
      size += header.sizeInBytes;
      nextOffset = next;
      return true;
    });
    const [first, last] = [fitting[0], fitting.at(-1)];
    if (first === undefined || last === undefined) break;
    const origin = headers[0]?.position ?? 0;
    chunks.push(bytes.subarray(first.position - origin, last.position + last.sizeInBytes - origin));
  }
  return { bytes: joined(chunks, size), nextOffset };
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
