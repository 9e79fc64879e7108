import type { Offset } from "@tidemark/ids";
import { type BatchHeader, batchHeaderBytes, hasValidCrc, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { lesser } from "../bytes.ts";
import { firstOfAnotherEpoch } from "../epochs/epoch-cache.ts";
import { DamageError, LogError } from "../errors.ts";
import { endOfLookup, endOfPiece, type Floor } from "../index/segment-index.ts";
import { assertOnline, type LogState, segmentIndexFor } from "../log-state.ts";
import { readOrDamage } from "../segment/read-or-damage.ts";
import type { Segment } from "../segment/segment.ts";
import { isElsewhere } from "../write/gaps.ts";
import { type Cursor, cursorAt, rememberCursor, renewCursors } from "./cursors.ts";
import { assertNothingMissed, floorHolds, floorIn, rebuildIndex } from "./find.ts";
import { moveAhead, readAhead, takeAhead } from "./read-ahead.ts";
import { readRecent } from "./recent.ts";
import { stableRead } from "./stable.ts";

export interface ReadLimits {
  /** Bytes to return at most; the first batch is returned whole even if it is larger (L8). */
  readonly maxBytes: number;
  /** Only batches below it are returned; the end of what is written when absent. */
  readonly upTo?: Offset;
}

export interface ReadResult {
  /** Whole batches, checked against their checksums and the log's leader epochs; a slice of what was read. Empty when there is nothing to read. */
  readonly bytes: Uint8Array;
  /** Where to read on. Equals the offset asked for when `bytes` is empty and nothing was left out. */
  readonly nextOffset: Offset;
}

const nothing = new Uint8Array(0);

/** The batches from the one that holds `offset` on. Throws `LogError`: OFFSET_OUT_OF_RANGE, OFFLINE, ... */
export async function readBatches(log: LogState, offset: Offset, limits: ReadLimits): Promise<ReadResult> {
  assertOnline(log);
  // Nothing of that is of the disk, so that it waits for nothing that goes on there.
  return readMemory(log, offset, limits) ?? stableRead(log, () => readDisk(log, offset, limits));
}

/** Undefined where the disk has to be asked. */
function readMemory(log: LogState, offset: Offset, limits: ReadLimits): ReadResult | undefined {
  assertInRange(log, offset);
  const within = withinWritten(log, limits);
  if (offset >= within.upTo) return { bytes: nothing, nextOffset: offset };
  return readRecent(log, offset, within);
}

/** What is there may have changed since the last attempt. */
async function readDisk(log: LogState, offset: Offset, limits: ReadLimits): Promise<ReadResult> {
  return readMemory(log, offset, limits) ?? attempt(log, offset, withinWritten(log, limits));
}

const withinWritten = (log: LogState, { maxBytes, upTo }: ReadLimits): Required<ReadLimits> => ({
  maxBytes,
  upTo: upTo === undefined ? log.written : lesser(upTo, log.written),
});

async function attempt(log: LogState, offset: Offset, limits: Required<ReadLimits>): Promise<ReadResult> {
  const { segments, generation, cursors } = log;
  renewCursors(cursors, generation);
  for (let index = segmentIndexFor(segments, offset); index < segments.length; index++) {
    const segment = segments[index];
    if (segment === undefined || segment.size === 0) continue;
    if (segment.baseOffset >= limits.upTo) break;
    const found = await readIn(log, segment, { offset, limits });
    if (found === undefined) continue;
    const { bytes, nextOffset, cameFrom } = found;
    const { maxBytes } = limits;
    const isSequential = cameFrom?.maxBytes === maxBytes;
    const position = found.position + bytes.length;
    const cursor = rememberCursor(cursors, { generation, offset: nextOffset, segment, position, maxBytes });
    if (cursor !== undefined && cameFrom !== undefined) moveAhead(cameFrom, cursor);
    // The next pieces are on their way while this one is checked.
    if (cursor !== undefined && isSequential) readAhead(log, cursor, limits.upTo);
    for (const header of found.headers) {
      if (!hasValidCrc(found.source, header, log.context.crc32c)) {
        throw corrupt(segment, found.position + header.position - found.at, header.baseOffset);
      }
    }
    const odd = firstOfAnotherEpoch(log.epochs, found.headers);
    if (odd !== undefined) throw corrupt(segment, found.position + odd.position - found.at, odd.baseOffset);
    return { bytes, nextOffset };
  }
  return { bytes: nothing, nextOffset: offset };
}

/** One piece of one segment. Undefined: nothing at `offset` or above is in this segment. */
async function readIn(
  log: LogState,
  segment: Segment,
  { offset, limits }: { readonly offset: Offset; readonly limits: Required<ReadLimits> },
): Promise<Found | undefined> {
  const cursor = cursorAt(log.cursors, segment, offset);
  const ahead = cursor === undefined ? undefined : await takeAhead(cursor, limits.maxBytes);
  const floor: Floor =
    cursor === undefined ? await floorIn(log, segment, offset) : { ...cursor, lastOffset: undefined };
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const fetch = (from: number, length: number) =>
      readOrDamage(file, segment, { from, length: Math.min(length, segment.size - from), offset });
    let from = floor.position;
    let bytes =
      ahead ??
      (await fetch(from, cursor === undefined ? bytesFromFloor(log, segment, floor, limits) : bytesAt(cursor, limits)));
    if (!floorHolds(floor, bytes)) {
      segment.index = await rebuildIndex(log, segment);
      return await readIn(log, segment, { offset, limits });
    }
    for (;;) {
      const bounds = { above: cursor && offset, below: segment.nextOffset, hasGaps: log.hasGaps };
      const step = findBatches(bytes, offset, { ...limits, ...bounds });
      if (step.kind === "found") {
        const isMissing = cursor === undefined && (step.headers[0]?.baseOffset ?? offset) > offset;
        if (isMissing) await assertNothingMissed(log, segment, { file, from: floor.position, offset });
        return { ...step, position: from + step.at, cameFrom: cursor };
      }
      if (step.kind === "malformed") throw corrupt(segment, from + step.at, offset);
      // The range ended before the batch that was looked for, or within it.
      from += step.at;
      if (step.kind === "none" || from === segment.size) {
        if (offset < segment.nextOffset)
          await assertNothingMissed(log, segment, { file, from: floor.position, offset });
        return undefined;
      }
      // A batch that was passed over may claim more than there is, too.
      if (from + step.bytesNeeded > segment.size) throw corrupt(segment, from, offset);
      bytes = await fetch(from, Math.max(step.bytesNeeded, limits.maxBytes, log.settings.indexIntervalBytes));
      // The file is shorter than it was.
      if (bytes.length < step.bytesNeeded) throw corrupt(segment, from, offset);
    }
  } finally {
    release();
  }
}

/** So much is read at once for a batch whose place is known to within an entry of the index. Bytes. */
const lookupBytesMax = 256 * 1024;

/**
 * An index says where to begin to within an entry, and by the entries behind it where the batch that is looked for must
 * have ended: so much in one read, unless that is far more than was asked for.
 */
function bytesFromFloor(log: LogState, { index }: Segment, floor: Floor, { maxBytes }: ReadLimits): number {
  const span = index === undefined ? 0 : endOfLookup(index, floor) - floor.position;
  const wanted = maxBytes + 2 * log.settings.indexIntervalBytes;
  return Math.max(wanted, span > lookupBytesMax ? 0 : span, batchHeaderBytes);
}

/** Up to where the index says that a batch ends, which also tells how large one is that is larger than `maxBytes`. */
function bytesAt({ segment, position }: Cursor, { maxBytes }: ReadLimits): number {
  const { index, baseOffset } = segment;
  const end = index === undefined ? undefined : endOfPiece(index, { from: position, maxBytes, baseOffset });
  return Math.max(end === undefined ? maxBytes : end.position - position, batchHeaderBytes);
}

interface Found {
  readonly source: Uint8Array;
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly headers: readonly BatchHeader[];
  readonly nextOffset: Offset;
  readonly position: number;
  /** Where the read began, if one had ended there. */
  readonly cameFrom: Cursor | undefined;
}

type Step =
  | ({ readonly kind: "found" } & Omit<Found, "position" | "cameFrom">)
  | { readonly kind: "none"; readonly at: number }
  | { readonly kind: "more"; readonly at: number; readonly bytesNeeded: number }
  | { readonly kind: "malformed"; readonly at: number };

/** Where the batches of a segment may lie. A checksum leaves out where its batch begins. */
interface Bounds {
  /** None begins below it. Undefined: not known. */
  readonly above: Offset | undefined;
  /** All end there, or before. */
  readonly below: Offset;
  /** Whether one may begin behind where the one before it ended. */
  readonly hasGaps: boolean;
}

/**
 * The batches of `source` from the one with `offset` on, as far as the limits allow. Each begins where the one before
 * ended, or later where compaction left something out.
 */
function findBatches(
  source: Uint8Array,
  offset: Offset,
  { maxBytes, upTo, above, below, hasGaps }: Required<ReadLimits> & Bounds,
): Step {
  let at = 0;
  let least = above;
  const headers: BatchHeader[] = [];
  let start = 0;
  let end = 0;
  let nextOffset = offset;
  while (at < source.length) {
    const step = readBatchHeader(source, at);
    if (step.kind === "malformed") {
      if (headers.length > 0) break;
      return { kind: "malformed", at };
    }
    if (step.kind === "incomplete") {
      if (headers.length > 0) break;
      const { header } = step;
      // One before the batch that is looked for need not be read to its end.
      if (header !== undefined && nextOffsetOf(header) <= offset) {
        return { kind: "more", at: at + header.sizeInBytes, bytesNeeded: batchHeaderBytes };
      }
      return { kind: "more", at, bytesNeeded: step.bytesNeeded };
    }
    const { header } = step;
    const next = nextOffsetOf(header);
    if (next > below || (least !== undefined && isElsewhere(header, least, hasGaps))) {
      if (headers.length > 0) break;
      return { kind: "malformed", at };
    }
    least = next;
    if (next > upTo) break;
    at += header.sizeInBytes;
    if (next <= offset) continue;
    if (headers.length === 0) start = header.position;
    else if (at - start > maxBytes) break;
    headers.push(header);
    end = at;
    nextOffset = next;
  }
  if (headers.length === 0) {
    return at < source.length ? { kind: "none", at } : { kind: "more", at, bytesNeeded: batchHeaderBytes };
  }
  return { kind: "found", source, at: start, bytes: source.subarray(start, end), headers, nextOffset };
}

function assertInRange(log: LogState, offset: Offset): void {
  if (offset >= log.logStart && offset <= log.end) return;
  throw new LogError(
    "OFFSET_OUT_OF_RANGE",
    `Offset ${offset} is not in ${log.directory}, which has ${log.logStart} to ${log.end}`,
  );
}

function corrupt(segment: Segment, position: number, offset: Offset): DamageError {
  return new DamageError({
    kind: "corruptBatch",
    offset,
    detail: `No sound batch at byte ${position} of ${segment.path}`,
  });
}
