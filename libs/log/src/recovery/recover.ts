/**
 * What a start makes of the files it finds (L4). Reads everything from the recovery point on; changes nothing.
 *
 * Up to the recovery point bytes were flushed: what is wrong there is damage. In the last segment behind it, the first
 * bytes that are not the next batch are where a crash tore the tail. A segment that has a successor was flushed before
 * that was made.
 */
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { greater } from "../bytes.ts";
import type { NotedOffsets } from "../checkpoint/offset-slot.ts";
import type { LogContext } from "../context.ts";
import { cutEpochsAtEnd, type EpochCache, firstOfAnotherEpoch, learnEpoch } from "../epochs/epoch-cache.ts";
import { type Damage, DamageError } from "../errors.ts";
import {
  coverageAt,
  createSegmentIndex,
  cutIndex,
  floorOfOffset,
  isWithinReach,
  type SegmentIndex,
} from "../index/segment-index.ts";
import { floorHolds } from "../read/find.ts";
import { damageReading, readOrDamage } from "../segment/read-or-damage.ts";
import { type ScanStop, scanBatches } from "../segment/scan.ts";
import { extendIndex, readIndex, readSuccessor, type Segment } from "../segment/segment.ts";
import type { LogSettings } from "../settings.ts";
import { brokenSequence } from "./beginning.ts";

/** Nobody else waits for a turn while a log is opened, and a disk gives most when much is asked for. */
const pieceBytes = 4 * 1024 * 1024;

export interface Found {
  /** By base offset, at least one. Sizes are those of the files. */
  readonly segments: readonly Segment[];
  /** Undefined when neither of its slots is valid. */
  readonly noted: NotedOffsets | undefined;
  /** Undefined when the file is missing or not whole: then all batches are read for it. */
  readonly epochs: EpochCache | undefined;
}

export interface Recovered {
  readonly end: Offset;
  /** Below it everything is durable. */
  readonly recoveryPoint: Offset;
  /** Bytes behind the log end that are no batches: a torn tail. */
  readonly tornBytes: number;
  readonly epochs: EpochCache;
}

/** Throws DamageError when the replica must not be used. Sets size, next offset and index of the last segment. */
export async function recover(context: LogContext, settings: LogSettings, found: Found): Promise<Recovered> {
  const { segments, noted } = found;
  const last = segments.at(-1);
  if (last === undefined) throw new Error("Broken invariant: a log has a segment");
  // All but the last segment were flushed before their successors were made.
  const recoveryPoint = greater(noted?.flushed ?? last.baseOffset, last.baseOffset);
  // Where nothing says what was flushed, nothing is taken on trust.
  const scanFrom = noted?.flushed ?? 0n;
  const fileSize = last.size;
  let epochs = found.epochs ?? [];
  for (const segment of segments) {
    const isLast = segment === last;
    // Of what lies below the log start, a crash in the middle of a deletion leaves any part.
    if (!isLast && segment.nextOffset > (noted?.logStart ?? 0n)) await assertFollowed(context, segment);
    const isBelow = !isLast && segment.nextOffset <= scanFrom;
    if (isBelow && found.epochs !== undefined) continue;
    epochs = await recoverSegment(context, settings, {
      segment,
      epochs,
      isLast,
      recoveryPoint,
      listed: found.epochs === undefined ? undefined : { epochs: found.epochs, below: scanFrom },
      scanFrom: found.epochs === undefined ? segment.baseOffset : scanFrom,
    });
  }
  if (context.guards.cutTailOnly) assertLongEnough(last, noted);
  return {
    end: last.nextOffset,
    recoveryPoint,
    tornBytes: fileSize - last.size,
    // An epoch that begins at the end is one in which nothing was written yet.
    epochs: cutEpochsAtEnd(epochs, (last.nextOffset + 1n) as Offset),
  };
}

/** A segment in the middle is there by its name alone, until it is read: its predecessor tells that it is gone. */
async function assertFollowed(context: LogContext, segment: Segment): Promise<void> {
  const successor = await readSuccessor(context, segment);
  if (successor === undefined || successor === segment.nextOffset) return;
  throw new DamageError(brokenSequence(segment, successor));
}

interface SegmentRecovery {
  readonly segment: Segment;
  readonly epochs: EpochCache;
  readonly isLast: boolean;
  readonly recoveryPoint: Offset;
  readonly listed: Listed | undefined;
  readonly scanFrom: bigint;
}

/** Leader epochs that were durable before any batch of theirs below this offset counted as flushed. */
interface Listed {
  readonly epochs: EpochCache;
  readonly below: bigint;
}

async function recoverSegment(
  context: LogContext,
  settings: LogSettings,
  { segment, epochs, isLast, recoveryPoint, listed, scanFrom }: SegmentRecovery,
): Promise<EpochCache> {
  const { file, release } = await context.files.acquire(segment.path);
  try {
    const index = await startOfScan(context, segment, scanFrom);
    const known = { epochs, previous: undefined as LeaderEpoch | undefined };
    const gapsFrom = isLast && !settings.gaps ? recoveryPoint : undefined;
    const scan = await scanBatches(
      damageReading(file, segment, () => index.covered.nextOffset),
      { from: index.covered.bytes, to: segment.size, crc32c: context.crc32c, pieceBytes },
      (header) => {
        const { nextOffset } = index.covered;
        const misfit = misfitOf(header, { segment, nextOffset, previous: known.previous, listed, gapsFrom });
        if (misfit !== undefined) return misfit;
        known.previous = header.leaderEpoch;
        known.epochs = learnEpoch(known.epochs, { leaderEpoch: header.leaderEpoch, startOffset: header.baseOffset });
        extendIndex(index, header, segment, settings.indexIntervalBytes);
        return undefined;
      },
    );
    const end = index.covered.nextOffset;
    const isTail = isLast && (end >= recoveryPoint || !context.guards.cutTailOnly);
    if (scan.stop.kind !== "end" && !isTail) throw new DamageError(damageAt(segment, scan.position, end, scan.stop));
    segment.size = scan.position;
    segment.index = index;
    if (isLast) segment.nextOffset = end;
    else context.indexes.touch(segment, index);
    return known.epochs;
  } finally {
    release();
  }
}

/** The segment's index up to the last place it can prove at or below `scanFrom`, or an empty one. */
async function startOfScan(context: LogContext, segment: Segment, scanFrom: bigint): Promise<SegmentIndex> {
  const index = await readIndex(context, segment);
  if (index === undefined) return createSegmentIndex(segment.baseOffset);
  if (index.covered.nextOffset <= scanFrom) return index;
  const floor = floorOfOffset(index, (scanFrom - 1n) as Offset, segment.baseOffset);
  if (floor.lastOffset === undefined) return createSegmentIndex(segment.baseOffset);
  let first: BatchHeader | undefined;
  const { file, release } = await context.files.acquire(segment.path);
  try {
    const bytes = await readOrDamage(file, segment, { from: floor.position, length: 61, offset: floor.lastOffset });
    const found = readBatchHeader(bytes);
    if (found.kind !== "malformed") first = found.header;
    if (first === undefined || !floorHolds(floor, bytes)) return createSegmentIndex(segment.baseOffset);
  } finally {
    release();
  }
  // The batch at the floor is read again: it begins before the last offset that its entry names.
  const covered = { ...coverageAt(index, floor, segment.baseOffset), nextOffset: first.baseOffset };
  cutIndex(index, covered, segment.baseOffset);
  return index;
}

function misfitOf(
  header: BatchHeader,
  expected: {
    readonly segment: Segment;
    readonly nextOffset: Offset;
    readonly previous: LeaderEpoch | undefined;
    readonly listed: Listed | undefined;
    readonly gapsFrom: Offset | undefined;
  },
): string | undefined {
  if (header.baseOffset < expected.nextOffset) return `offset ${header.baseOffset} after ${expected.nextOffset}`;
  if (!isWithinReach(nextOffsetOf(header), expected.segment.baseOffset))
    return `offset ${header.baseOffset} too far on`;
  if (expected.gapsFrom !== undefined && header.baseOffset > greater(expected.nextOffset, expected.gapsFrom)) {
    return `offset ${header.baseOffset} where ${expected.nextOffset} should follow`;
  }
  if (expected.previous !== undefined && header.leaderEpoch < expected.previous) {
    return `leader epoch ${header.leaderEpoch} after ${expected.previous}`;
  }
  const { listed } = expected;
  if (listed !== undefined && header.baseOffset < listed.below && firstOfAnotherEpoch(listed.epochs, [header])) {
    return `leader epoch ${header.leaderEpoch} where another is listed`;
  }
  return undefined;
}

function assertLongEnough(last: Segment, noted: NotedOffsets | undefined): void {
  // Nothing was noted above the log start: the log was about to begin anew there.
  if (noted === undefined || noted.flushed === noted.logStart) return;
  const least = greater(noted.flushed, noted.highWatermark);
  if (last.nextOffset >= least) return;
  throw new DamageError({
    kind: "shortLog",
    offset: last.nextOffset,
    detail: `${last.path} ends at offset ${last.nextOffset}; flushed was ${noted.flushed}, the high watermark ${noted.highWatermark}`,
  });
}

function damageAt(segment: Segment, position: number, offset: Offset, stop: ScanStop): Damage {
  const what = stop.kind === "refused" || stop.kind === "malformed" ? `${stop.kind}: ${stop.reason}` : stop.kind;
  const kind = stop.kind === "refused" ? "brokenSequence" : "corruptBatch";
  return { kind, offset, detail: `No sound batch at byte ${position} of ${segment.path} (${what})` };
}
