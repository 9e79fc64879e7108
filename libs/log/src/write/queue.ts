import type { Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf } from "@tidemark/record";
import { indexBytes, isWithinReach, type SegmentIndex } from "../index/segment-index.ts";
import type { Segment } from "../segment/segment.ts";
import type { LogSettings } from "../settings.ts";

/** Bytes that one write takes at most, beyond its first batch. */
const groupBytesMax = 8 * 1024 * 1024;

/** What waits to be written: whole batches one after the other in `bytes`, and their headers. */
export interface QueuedBatches {
  readonly bytes: Uint8Array;
  readonly headers: readonly BatchHeader[];
  /** The bytes stay as they are for good. */
  readonly mayKeep: boolean;
}

/** What one write puts at the end of the active segment. */
export interface Group {
  readonly taken: readonly QueuedBatches[];
  readonly headers: readonly BatchHeader[];
  readonly size: number;
  readonly nextOffset: Offset;
}

/** Takes from the queue what fits into the segment. Undefined when not even its first batch does: the log rolls. */
export function takeGroup(
  queue: QueuedBatches[],
  active: { readonly segment: Segment; readonly index: SegmentIndex },
  settings: LogSettings,
): Group | undefined {
  const batches: QueuedBatches[] = [];
  const headers: BatchHeader[] = [];
  let size = 0;
  for (let item = queue[0]; item !== undefined; item = queue[0]) {
    const fitting = countFitting(item, { ...active, pending: size, isFirst: batches.length === 0 }, settings);
    if (fitting === 0) break;
    const [taken, rest] = split(item, fitting);
    batches.push(taken);
    // One by one: as arguments of a call, those of some megabytes of small batches are too many.
    for (const header of taken.headers) headers.push(header);
    size += taken.bytes.length;
    if (rest === undefined) queue.shift();
    else queue[0] = rest;
  }
  const last = headers.at(-1);
  return last === undefined ? undefined : { taken: batches, headers, size, nextOffset: nextOffsetOf(last) };
}

/** The first `count` batches, and what is left, if anything. */
function split(item: QueuedBatches, count: number): readonly [QueuedBatches, QueuedBatches | undefined] {
  if (count === item.headers.length) return [item, undefined];
  const first = item.headers[0];
  const at = item.headers[count];
  if (first === undefined || at === undefined) return [item, undefined];
  const cut = at.position - first.position;
  return [
    { ...item, bytes: item.bytes.subarray(0, cut), headers: item.headers.slice(0, count) },
    { ...item, bytes: item.bytes.subarray(cut), headers: item.headers.slice(count) },
  ];
}

interface Place {
  readonly segment: Segment;
  readonly index: SegmentIndex;
  /** Bytes that are taken already. */
  readonly pending: number;
  readonly isFirst: boolean;
}

function countFitting(item: QueuedBatches, place: Place, settings: LogSettings): number {
  const first = item.headers[0];
  if (first === undefined) return 0;
  let fitting = 0;
  for (const header of item.headers) {
    const end = header.position - first.position + header.sizeInBytes;
    if (place.pending + end > groupBytesMax && !(place.isFirst && fitting === 0)) break;
    if (!belongsInto(place, header, { size: place.segment.size + place.pending + end, settings })) break;
    fitting++;
  }
  return fitting;
}

/** The rule by which the active segment rolls: size, relative offset, full index, age (L3). */
function belongsInto(
  { segment, index, pending, isFirst }: Place,
  header: BatchHeader,
  { size, settings }: { readonly size: number; readonly settings: LogSettings },
): boolean {
  if (!isWithinReach(nextOffsetOf(header), segment.baseOffset)) return false;
  if (segment.size === 0 && pending === 0 && isFirst && size === header.sizeInBytes) return true;
  if (size > settings.segmentBytes) return false;
  if (indexBytes(index) >= settings.indexBytes) return false;
  const { firstTimestamp } = index;
  return firstTimestamp < 0n || header.maxTimestamp - firstTimestamp <= BigInt(settings.segmentMs);
}
