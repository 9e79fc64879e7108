import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { lesser } from "./bytes.ts";
import { type CutNote, removeCutNote } from "./checkpoint/cut-note.ts";
import { closeCheckpoint, persistOffsets, rememberOffsets } from "./checkpoint/offset-checkpoint.ts";
import { type CompactionReport, compact } from "./compaction/compact.ts";
import type { DirectoryMember } from "./context.ts";
import { type EpochCache, type EpochEnd, epochEnd, latestEpoch } from "./epochs/epoch-cache.ts";
import { releaseEpochs } from "./epochs/epoch-file.ts";
import { type Damage, LogError } from "./errors.ts";
import { activeSegment, assertOnline, type LogState, type LogStatus, offsetsToNote } from "./log-state.ts";
import { rebuildProducers } from "./producers/rebuild.ts";
import { forgetCursors } from "./read/cursors.ts";
import { type ReadLimits, type ReadResult, readBatches } from "./read/reader.ts";
import { forgetRecent } from "./read/recent.ts";
import { type OffsetAndTimestamp, offsetForTimestamp } from "./read/timestamps.ts";
import { moveLogStart } from "./retention/log-start.ts";
import { applyRetention } from "./retention/retention.ts";
import { writeIndex } from "./segment/segment.ts";
import type { LogSettings } from "./settings.ts";
import { settleWaiters, tell, untilFlushed } from "./tell.ts";
import { type Appended, type AppendOptions, append, beginEpoch } from "./write/append.ts";
import { type CutOptions, startAnewAt, truncateTo } from "./write/cut.ts";
import { flushActive, keepSnapshot, releaseFile } from "./write/roll.ts";
import { afterEverything, kick } from "./write/writer.ts";

/**
 * The log of one partition on one broker. Appends, reads and cuts may be called at any time and run side by side.
 *
 *     log start <= high watermark <= flushed <= written <= log end
 *
 * What an append leads to is told by events, without a promise for each: see `LogEvent`.
 */
export interface Log {
  readonly directory: string;
  readonly status: LogStatus;
  readonly logStartOffset: Offset;
  /** The log start that a power cut cannot take back. At or below `logStartOffset`, which moves first (L7). */
  readonly storedLogStart: Offset;
  readonly highWatermark: Offset;
  /** Below it everything is on stable storage; with flush=async, everything is written. */
  readonly flushedOffset: Offset;
  /** Below it everything can be read. */
  readonly writtenOffset: Offset;
  /** The offset that the next record gets. */
  readonly logEndOffset: Offset;
  /** Bytes of all segments. */
  readonly sizeInBytes: number;
  readonly segmentCount: number;
  readonly epochs: EpochCache;
  /** Undefined for a log that knows none. */
  readonly latestLeaderEpoch: LeaderEpoch | undefined;
  /** Where an epoch ended here (KIP-101). Undefined for one newer than all that the log knows. */
  endOffsetFor(leaderEpoch: LeaderEpoch): EpochEnd | undefined;
  /**
   * Appends whole batches that are stamped and checked, from the log end on, and holds `bytes` until they are written,
   * or longer with `mayKeep`.
   * Throws a `LogError` when nothing was appended. Later trouble is told as `refused`.
   */
  append(bytes: Uint8Array, options?: AppendOptions): Appended;
  /** Notes that a new leader's epoch begins at the log end, before anything is appended in it (R8). */
  beginEpoch(leaderEpoch: LeaderEpoch): void;
  /** Resolves when everything below `offset` is flushed; rejects with the `LogError` that came in between. */
  flushed(offset: Offset): Promise<void>;
  read(offset: Offset, limits: ReadLimits): Promise<ReadResult>;
  /** The first record at or after a time (milliseconds since 1970); undefined when there is none. */
  offsetForTimestamp(timestamp: bigint): Promise<OffsetAndTimestamp | undefined>;
  /**
   * Deletes what is below `offset`, durable on return (L7); waits while there is no room or file handle for that. Throws
   * OFFSET_OUT_OF_RANGE above the high watermark.
   */
  moveLogStart(offset: Offset): Promise<void>;
  /** Deletes what is older or more than the settings keep. `now`: milliseconds since 1970. */
  applyRetention(now: bigint): Promise<void>;
  /** Compacts, if the settings say so and there is enough to do. Undefined when nothing was done. */
  compact(now: bigint): Promise<CompactionReport | undefined>;
  /**
   * Cuts the log's end, durable on return (L9); waits while there is no room or file handle for that, and throws NO_SPACE
   * where the log is closed meanwhile. Returns the log end: at `cut`, or before it.
   */
  truncateTo(cut: Offset, options?: CutOptions): Promise<Offset>;
  /** Removes everything and begins anew at `start`, durable on return. Waits as a cut does. */
  startAnewAt(start: Offset, options?: CutOptions): Promise<void>;
  /** What cuts took that were to be noted. It outlives the process, until it is forgotten. */
  readonly cutNote: CutNote | undefined;
  /** Whoever was to be told of `cutNote` knows it now: it is gone at once, and when this resolves, for good. */
  forgetCutNote(): Promise<void>;
  /** Takes note of the high watermark; it never goes back but by a cut, and never passes what is flushed. */
  setHighWatermark(highWatermark: Offset): void;
  configure(settings: LogSettings): void;
  /**
   * Resolves when no start will forget the damage that the log is offline for: it is noted in the directory, durably (L10).
   * Waits while there is no room or file handle for that; rejects with the `LogError` that ended it.
   */
  damageNoted(): Promise<void>;
  /**
   * Writes and flushes what was appended, notes everything and closes. What is under way ends first. Rejects where not
   * everything could be flushed; closed it is all the same.
   */
  close(): Promise<void>;
}

/** Takes up what a start found. Throws DamageError when the batches for the producers' state cannot be read. */
export async function startLog(state: LogState): Promise<Log> {
  await rebuildProducers(state);
  return new PartitionLog(state);
}

/** A class, since a broker holds thousands: what stands on the prototype costs nothing per log. */
class PartitionLog implements Log, DirectoryMember {
  readonly #log: LogState;
  #closed: Promise<void> | undefined;

  constructor(log: LogState) {
    this.#log = log;
    log.context.enter(this);
    if (log.tail === undefined) return;
    log.writer.hasTail = true;
    kick(log);
  }

  directoryFailed(error: LogError) {
    tell(this.#log, { kind: "failed", error });
  }

  get directory() {
    return this.#log.directory;
  }
  get status() {
    return this.#log.status;
  }
  get logStartOffset() {
    return this.#log.logStart;
  }
  get storedLogStart() {
    return this.#log.storedLogStart;
  }
  get highWatermark() {
    return this.#log.highWatermark;
  }
  get flushedOffset() {
    return this.#log.flushed;
  }
  get writtenOffset() {
    return this.#log.written;
  }
  get logEndOffset() {
    return this.#log.end;
  }
  get segmentCount() {
    return this.#log.segments.length;
  }

  get sizeInBytes() {
    return this.#log.segments.reduce((sum, segment) => sum + segment.size, 0);
  }
  get epochs() {
    return this.#log.epochs;
  }
  get latestLeaderEpoch() {
    return latestEpoch(this.#log.epochs);
  }

  endOffsetFor(leaderEpoch: LeaderEpoch) {
    return epochEnd(this.#log.epochs, leaderEpoch, this.#log.end);
  }
  append(bytes: Uint8Array, options?: AppendOptions) {
    return append(this.#log, bytes, options);
  }
  beginEpoch(leaderEpoch: LeaderEpoch) {
    beginEpoch(this.#log, leaderEpoch);
  }
  async flushed(offset: Offset) {
    assertOnline(this.#log);
    if (this.#log.flushed >= offset) return;
    await untilFlushed(this.#log, offset);
  }
  read(offset: Offset, limits: ReadLimits) {
    return readBatches(this.#log, offset, limits);
  }
  offsetForTimestamp(timestamp: bigint) {
    return offsetForTimestamp(this.#log, timestamp);
  }
  moveLogStart(offset: Offset) {
    return this.#log.maintenance.run(() => moveLogStart(this.#log, offset));
  }
  applyRetention(now: bigint) {
    return this.#log.maintenance.run(() => applyRetention(this.#log, now));
  }
  compact(now: bigint) {
    const { cuts } = this.#log;
    return this.#log.maintenance.run(() => compact(this.#log, { now, cuts }));
  }
  truncateTo(cut: Offset, options?: CutOptions) {
    return truncateTo(this.#log, cut, options);
  }
  async startAnewAt(offset: Offset, options?: CutOptions) {
    await startAnewAt(this.#log, offset, options);
  }
  get cutNote() {
    return this.#log.cutNote;
  }
  forgetCutNote() {
    const log = this.#log;
    log.cutNote = undefined;
    return log.maintenance.run(async () => {
      // Another cut was noted meanwhile; or there is nothing that could be written to.
      if (log.cutNote === undefined && log.status.kind === "online") await removeCutNote(log);
    });
  }
  setHighWatermark(highWatermark: Offset) {
    const log = this.#log;
    const reached = lesser(highWatermark, log.flushed);
    // Closed, it touches no file any more: what is there now may be another's.
    if (reached <= log.highWatermark || log.status.kind === "closed") return;
    log.highWatermark = reached;
    rememberOffsets(log.context, log.checkpoint, offsetsToNote(log));
  }
  configure(settings: LogSettings) {
    this.#log.settings = settings;
  }
  damageNoted() {
    return this.#log.noting ?? Promise.resolve();
  }

  close() {
    // Whoever closes it waits: a stop is clean, and files may go, only when it has ended.
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close() {
    const log = this.#log;
    log.writer.isClosing = true;
    log.writer.cancelTailRetry?.();
    log.writer.hasTail = log.tail !== undefined;
    log.context.leave(this);
    try {
      // Also of a log that is offline, whose files may be removed now: what is under way would be written into another's.
      if (log.context.failure() === undefined) {
        await log.maintenance.run(() => afterEverything(log, () => finish(log)));
        await log.noting;
      }
    } finally {
      log.status = { kind: "closed" };
      forgetCursors(log.cursors);
      forgetRecent(log);
      releaseFile(log);
      settleWaiters(log, { kind: "failed", error: new LogError("CLOSED", `${log.directory} was closed`) });
      releaseEpochs(log.epochFile);
      await closeCheckpoint(log.context, log.checkpoint);
    }
  }
}

/** What a clean stop leaves: everything flushed and noted, nothing to be read again. */
async function finish(log: LogState): Promise<void> {
  if (log.status.kind !== "online") return;
  if (log.writer.isCutHalf) throw new LogError("NO_SPACE", `The cut of ${log.directory} could not be finished`);
  if (log.tail === undefined) await flushActive(log);
  await keepSnapshot(log);
  const active = activeSegment(log);
  if (active.index !== undefined) await writeIndex(log.context, active, active.index);
  await persistOffsets(log.context, log.checkpoint, offsetsToNote(log));
  log.status = { kind: "closed" };
  // A sync says nothing of it (L4): the next start begins anew with it, and the stop was not clean.
  if (log.tail !== undefined) throw new LogError("NO_SPACE", `No space to secure the end of ${log.directory}`);
}

/** A log that is damaged: it says so, and refuses everything else. */
export function offlineLog(directory: string, damage: Damage): Log {
  const none = 0n as Offset;
  const refuse = (): never => {
    throw new LogError("OFFLINE", `${directory} is offline: ${damage.detail}`);
  };
  const refuseLater = async () => refuse();
  let status: LogStatus = { kind: "offline", damage };
  return {
    directory,
    get status() {
      return status;
    },
    logStartOffset: none,
    storedLogStart: none,
    highWatermark: none,
    flushedOffset: none,
    writtenOffset: none,
    logEndOffset: none,
    sizeInBytes: 0,
    segmentCount: 0,
    epochs: [],
    latestLeaderEpoch: undefined,
    endOffsetFor: () => undefined,
    append: refuse,
    beginEpoch: refuse,
    flushed: refuseLater,
    read: refuseLater,
    offsetForTimestamp: refuseLater,
    moveLogStart: refuseLater,
    applyRetention: refuseLater,
    compact: refuseLater,
    truncateTo: refuseLater,
    startAnewAt: refuseLater,
    cutNote: undefined,
    forgetCutNote: refuseLater,
    setHighWatermark: () => undefined,
    configure: () => undefined,
    damageNoted: () => Promise.resolve(),
    async close() {
      status = { kind: "closed" };
    },
  };
}
