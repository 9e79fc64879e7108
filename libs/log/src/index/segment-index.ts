/**
 * The sparse indexes of one segment, in memory: positions by offset, and offsets by time.
 *
 * Entries are Kafka's. By offset: the last offset of a batch and where that batch begins. By time: the largest time so
 * far and the last offset of the batch that has it. Offsets are relative to the segment's base offset, 31 bits.
 *
 * An entry is a hint that proves itself: a lookup reads on from the position it names, where a batch with that last
 * offset must begin. The largest time of the whole segment is exact.
 */
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, lastOffsetOf } from "@tidemark/record";
import {
  countUpTo,
  type GrowableInt64,
  type GrowableUint32,
  growableInt64,
  growableUint32,
  pushInt64,
  pushUint32,
} from "./growable.ts";

export interface SegmentIndex {
  readonly offsets: GrowableUint32;
  readonly positions: GrowableUint32;
  readonly times: GrowableInt64;
  readonly timeOffsets: GrowableUint32;
  /** Where the batch of the latest entry begins; 0 before the first. */
  lastPosition: number;
  /** The largest time of the first batch, by which the segment ages; -1 when there is none. */
  firstTimestamp: bigint;
  /** What the entries cover. */
  covered: Coverage;
}

/** Up to where the index knows the segment, and by which batch it can prove it. */
export interface Coverage {
  /** Bytes of log. */
  readonly bytes: number;
  /** The offset after the last covered batch. */
  readonly nextOffset: Offset;
  /** The last covered batch: where it begins, and its CRC. */
  readonly lastBatch: { readonly position: number; readonly crc: number } | undefined;
  /** The largest time of a covered batch, milliseconds since 1970; -1 when none has one. */
  readonly maxTimestamp: bigint;
  /** Last offset of the first batch with that time. */
  readonly maxTimestampOffset: Offset;
}

/** Offsets in an index are relative to the segment's base offset, 31 bits: no batch has a last offset further behind it. */
const relativeOffsetMax = 0x7fffffffn;

/** Whether what ends at `nextOffset` can be in the segment that begins at `baseOffset`. */
export function isWithinReach(nextOffset: Offset, baseOffset: Offset): boolean {
  return nextOffset - baseOffset - 1n <= relativeOffsetMax;
}

/** A place from which reading on finds what was looked for. */
export interface Floor {
  readonly position: number;
  /** Last offset of the batch that begins there, if an entry says so. */
  readonly lastOffset: Offset | undefined;
}

export function createSegmentIndex(baseOffset: Offset): SegmentIndex {
  return {
    offsets: growableUint32(),
    positions: growableUint32(),
    times: growableInt64(),
    timeOffsets: growableUint32(),
    lastPosition: 0,
    firstTimestamp: -1n,
    covered: emptyCoverage(baseOffset),
  };
}

function emptyCoverage(baseOffset: Offset): Coverage {
  return {
    bytes: 0,
    nextOffset: baseOffset,
    lastBatch: undefined,
    maxTimestamp: -1n,
    maxTimestampOffset: baseOffset,
  };
}

/** Takes note of a batch that stands at `covered.bytes`. `interval`: bytes of log for each entry. */
export function indexBatch(
  index: SegmentIndex,
  header: BatchHeader,
  { baseOffset, interval }: { readonly baseOffset: Offset; readonly interval: number },
): void {
  const { covered } = index;
  const position = covered.bytes;
  const lastOffset = lastOffsetOf(header);
  const isLater = header.maxTimestamp > covered.maxTimestamp;
  const maxTimestamp = isLater ? header.maxTimestamp : covered.maxTimestamp;
  if (position === 0) index.firstTimestamp = header.maxTimestamp;
  const maxTimestampOffset = isLater ? lastOffset : covered.maxTimestampOffset;
  index.covered = {
    bytes: position + header.sizeInBytes,
    nextOffset: (lastOffset + 1n) as Offset,
    lastBatch: { position, crc: header.crc },
    maxTimestamp,
    maxTimestampOffset,
  };
  if (position - index.lastPosition < interval) return;
  index.lastPosition = position;
  pushUint32(index.offsets, Number(lastOffset - baseOffset));
  pushUint32(index.positions, position);
  const latest = index.times.length === 0 ? -1n : index.times.items[index.times.length - 1];
  if (latest !== undefined && maxTimestamp > latest) {
    pushInt64(index.times, maxTimestamp);
    pushUint32(index.timeOffsets, Number(maxTimestampOffset - baseOffset));
  }
}

/** Where to begin reading for the batch that holds `offset`, or the first one after it. */
export function floorOfOffset(index: SegmentIndex, offset: Offset, baseOffset: Offset): Floor {
  const relative = offset - baseOffset;
  const count = countUpTo(index.offsets.items, index.offsets.length, Number(relative));
  const position = index.positions.items[count - 1];
  const lastOffset = index.offsets.items[count - 1];
  if (count === 0 || position === undefined || lastOffset === undefined) return { position: 0, lastOffset: undefined };
  return { position, lastOffset: (baseOffset + BigInt(lastOffset)) as Offset };
}

/**
 * Where a batch ends that is the one looked for at `floor`, or lies behind it: an entry names the last offset of its batch,
 * so that the one looked for may be that of the next entry.
 */
export function endOfLookup({ positions, covered }: SegmentIndex, { position }: Floor): number {
  const next = countUpTo(positions.items, positions.length, position);
  return next + 1 < positions.length ? (positions.items[next + 1] ?? covered.bytes) : covered.bytes;
}

/** Where a batch ends, and an offset that no batch before it reaches; all by what the index says. */
export interface PieceEnd {
  readonly position: number;
  readonly belowOffset: Offset;
}

/**
 * Where a piece from `from` on ends that is as large as `maxBytes` allows, but at least one batch: by an entry, so to
 * within the index's interval, or at the end of what the index covers.
 */
export function endOfPiece(
  index: SegmentIndex,
  { from, maxBytes, baseOffset }: { readonly from: number; readonly maxBytes: number; readonly baseOffset: Offset },
): PieceEnd {
  const { offsets, positions, covered } = index;
  const end = { position: covered.bytes, belowOffset: covered.nextOffset };
  if (from + maxBytes >= covered.bytes) return end;
  const within = countUpTo(positions.items, positions.length, from + maxBytes);
  const isThere = within > 0 && (positions.items[within - 1] ?? 0) > from;
  const entry = isThere ? within - 1 : within;
  const [position, lastOffset] = [positions.items[entry], offsets.items[entry]];
  if (entry >= positions.length || position === undefined || lastOffset === undefined) return end;
  return { position, belowOffset: (baseOffset + BigInt(lastOffset)) as Offset };
}

/** What the index covered when it reached the batch of `floor`. */
export function coverageAt(index: SegmentIndex, floor: Floor, baseOffset: Offset): Coverage {
  const empty = emptyCoverage(baseOffset);
  if (floor.lastOffset === undefined) return empty;
  // A time that was the largest at a later entry, and stands before the floor, was the largest there as well.
  const relative = Number(floor.lastOffset - baseOffset);
  const count = countUpTo(index.timeOffsets.items, index.timeOffsets.length, relative);
  const time = index.times.items[count - 1];
  const at = index.timeOffsets.items[count - 1];
  const before = { ...empty, bytes: floor.position, nextOffset: floor.lastOffset };
  if (count === 0 || time === undefined || at === undefined) return before;
  return { ...before, maxTimestamp: time, maxTimestampOffset: (baseOffset + BigInt(at)) as Offset };
}

/** An offset before which no record of the segment has `timestamp` or later. */
export function floorOfTime(index: SegmentIndex, timestamp: bigint, baseOffset: Offset): Offset {
  const count = countUpTo(index.times.items, index.times.length, timestamp);
  const relative = index.timeOffsets.items[count - 1];
  return count === 0 || relative === undefined ? baseOffset : ((baseOffset + BigInt(relative)) as Offset);
}

/** Forgets what lies at `covered.bytes` or behind it, after the segment was cut there. */
export function cutIndex(index: SegmentIndex, covered: Coverage, baseOffset: Offset): void {
  index.covered = covered;
  if (covered.bytes === 0) index.firstTimestamp = -1n;
  const entries = countUpTo(index.positions.items, index.positions.length, covered.bytes - 1);
  index.offsets.length = entries;
  index.positions.length = entries;
  index.lastPosition = entries === 0 ? 0 : (index.positions.items[entries - 1] ?? 0);
  const lastRelative = Number(covered.nextOffset - baseOffset) - 1;
  const times = countUpTo(index.timeOffsets.items, index.timeOffsets.length, lastRelative);
  index.times.length = times;
  index.timeOffsets.length = times;
}

/** Bytes that the entries take on disk, by which an index is full. */
export function indexBytes(index: SegmentIndex): number {
  return index.offsets.length * 8;
}
