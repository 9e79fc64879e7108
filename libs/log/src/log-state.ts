import type { Offset } from "@tidemark/ids";
import { lesser } from "./bytes.ts";
import type { CutNote } from "./checkpoint/cut-note.ts";
import type { OffsetCheckpoint } from "./checkpoint/offset-checkpoint.ts";
import type { NotedOffsets } from "./checkpoint/offset-slot.ts";
import type { CleanerRounds } from "./compaction/cleaner-checkpoint.ts";
import type { LogContext } from "./context.ts";
import type { EpochCache } from "./epochs/epoch-cache.ts";
import type { EpochFile } from "./epochs/epoch-file.ts";
import { type Damage, LogError } from "./errors.ts";
import type { LogListener } from "./events.ts";
import type { ProducerState } from "./producers/producer-state.ts";
import type { Cursors } from "./read/cursors.ts";
import type { RecentBatches } from "./read/recent.ts";
import type { Replacing } from "./replacing.ts";
import type { Segment } from "./segment/segment.ts";
import type { Serial } from "./serial.ts";
import type { LogSettings } from "./settings.ts";
import type { Waiter } from "./tell.ts";
import type { WriterState } from "./write/writer.ts";

/**
 * | status  | reads | appends |
 * |---------|-------|---------|
 * | online  | yes   | yes, unless it is being cut |
 * | offline | no    | no; damage was found |
 * | closed  | no    | no |
 */
export type LogStatus =
  | { readonly kind: "online" }
  | { readonly kind: "offline"; readonly damage: Damage }
  | { readonly kind: "closed" };

/**
 * One log as its parts share it. Offsets are in this order, whatever happens:
 *
 *     log start <= high watermark <= durable <= flushed <= written <= end
 *
 * `durable` is what stable storage has. `flushed` equals it with flush=sync; with flush=async it follows `written`.
 */
export interface LogState {
  readonly context: LogContext;
  readonly directory: string;
  readonly checkpoint: OffsetCheckpoint;
  readonly epochFile: EpochFile;
  readonly onEvent: LogListener;
  /** Those who wait for a flush. */
  waiters: Waiter[] | undefined;
  settings: LogSettings;
  /** By base offset, at least one; the last is the active one. Replaced, not changed, so that readers keep theirs. */
  segments: readonly Segment[];
  epochs: EpochCache;
  logStart: Offset;
  /** The log start that a power cut cannot take back: at or below `logStart`. */
  storedLogStart: Offset;
  highWatermark: Offset;
  durable: Offset;
  flushed: Offset;
  written: Offset;
  end: Offset;
  /** Rises when bytes that a reader may be reading lose their meaning. */
  generation: number;
  status: LogStatus;
  /** Damage is being noted, or was. */
  noting: Promise<void> | undefined;
  /** Cuts under way: nothing is appended meanwhile. */
  cutting: number;
  /** Rises with each cut: what goes on meanwhile, beside the writer, ends. */
  cuts: number;
  /** What was cut, and is to be told to somebody. Undefined: nothing. */
  cutNote: CutNote | undefined;
  /** Undefined: no file is being put in the place of another. */
  replacing: Replacing | undefined;
  /** One at a time of those that replace or remove whole segments. */
  readonly maintenance: Serial;
  readonly writer: WriterState;
  readonly cursors: Cursors;
  recent: RecentBatches;
  readonly producers: ProducerState;
  /** What the newest snapshot of the producers covers. Undefined: there is none, or it is of a log that was cut. */
  snapshotAt: Offset | undefined;
  /** What was compacted, and when. */
  cleaned: CleanerRounds;
  /** Below it compaction has removed delete markers. */
  markersGone: Offset;
  /**
   * A file says that offsets may be missing between batches, by compaction here or on the leader from which they were
   * copied: then neither a start nor a reader takes a gap for damage.
   */
  hasGaps: boolean;
  /** What a start found behind the recovery point, until it was written anew. */
  tail: UnflushedTail | undefined;
}

export interface UnflushedTail {
  /** The recovery point: the tail begins here, in the last segment. */
  readonly from: Offset;
  /** Bytes behind the last batch that are none. */
  readonly tornBytes: number;
}

/** What the checkpoint is to hold now: nothing that stable storage does not have. */
export function offsetsToNote(log: LogState): NotedOffsets {
  const { durable, highWatermark, logStart } = log;
  return { flushed: durable, highWatermark: lesser(highWatermark, durable), logStart };
}

/** Throws unless the log is online and its directory works. */
export function assertOnline(log: LogState): void {
  const failure = log.context.failure();
  if (failure !== undefined) throw failure;
  switch (log.status.kind) {
    case "online":
      return;
    case "offline":
      throw new LogError("OFFLINE", `${log.directory} is offline: ${log.status.damage.detail}`);
    case "closed":
      throw new LogError("CLOSED", `${log.directory} is closed`);
  }
}

export function activeSegment(log: LogState): Segment {
  const active = log.segments.at(-1);
  if (active === undefined) throw new Error("Broken invariant: a log has a segment");
  return active;
}

/** Index of the segment in which `offset` is, or would be. The first one for what is below it. */
export function segmentIndexFor(segments: readonly Segment[], offset: Offset): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    const segment = segments[middle];
    if (segment !== undefined && segment.baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
