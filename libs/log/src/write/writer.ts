/**
 * Group commit: the appends that came while a flush was under way become one write and one flush, and the next begins
 * when it ends. Everything that changes the log runs here, one thing at a time.
 */
import { DiskError, type PooledFile } from "@tidemark/disk";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { assignEpoch, cutEpochsAtEnd, latestEpoch } from "../epochs/epoch-cache.ts";
import { LogError } from "../errors.ts";
import { activeSegment, assertOnline, type LogState, offsetsToNote } from "../log-state.ts";
import { noProducerState, replayInto } from "../producers/producer-state.ts";
import { rebuildProducers } from "../producers/rebuild.ts";
import { damageSeen } from "../read/stable.ts";
import { rewriteTail } from "../recovery/rewrite-tail.ts";
import { extendIndex, writeIndex } from "../segment/segment.ts";
import { type Group, type QueuedBatches, takeGroup } from "./queue.ts";
import { keepSnapshot, rollSegment } from "./roll.ts";

/** Offsets of what was appended. */
export interface Appended {
  readonly firstOffset: Offset;
  /** The log end after it. */
  readonly nextOffset: Offset;
}

export interface Writer {
  /** Throws a `LogError` when nothing was appended. What becomes of it is told by events. */
  append(bytes: Uint8Array): Appended;
  /** Notes that `leaderEpoch` begins at the log end (R8). Written before any later append. */
  beginEpoch(leaderEpoch: LeaderEpoch): void;
  /** Runs when nothing is under way; what was appended and not yet written waits behind it. */
  exclusive<Value>(work: () => Promise<Value>): Promise<Value>;
  /** Takes no more appends. */
  stop(): void;
  /** Writes and flushes what was appended, then runs. After `stop`. */
  close(work: () => Promise<void>): Promise<void>;
  /** Forgets what was appended and not yet written. */
  dropQueued(): void;
  /** Lets go of the active segment's file; what is not flushed in it stays so. */
  releaseFile(): void;
}

/** An index file is written anew after so many bytes of log, so that little is read again after a kill. */
const indexEveryBytes = 64 * 1024 * 1024;

export function createWriter(log: LogState): Writer {
  const { context } = log;
  const queue: QueuedBatches[] = [];
  const waiting: (() => Promise<void>)[] = [];
  let running = false;
  let last: (() => Promise<void>) | undefined;
  let closing = false;
  let epochAdded = false;
  let tailNow = log.tail !== undefined;
  let held: PooledFile | undefined;
  let indexedBytes = 0;

  const kick = () => {
    if (running) return;
    running = true;
    // What fails is told where it fails; only a listener that throws can bring the log to a stop.
    run().catch((error: unknown) => context.fail(error, `telling of ${log.directory}`));
  };
  const run = async () => {
    for (;;) {
      const work = waiting.shift();
      if (work !== undefined) await work();
      else if (queue.length > 0 || epochAdded || tailNow) await commitGuarded();
      else if (last !== undefined) await last();
      else break;
    }
    running = false;
  };
  const commitGuarded = async () => {
    try {
      if (context.failure() !== undefined || log.status.kind !== "online") refuseAll(context.failure());
      else await commit();
    } catch (error) {
      const failure = error instanceof LogError ? error : context.fail(error, `appending to ${log.directory}`);
      refuseAll(failure);
    }
  };

  /** One group: roll if need be, write, flush. */
  const commit = async () => {
    if (log.tail !== undefined && !(await refusingWithoutSpace(secureTail))) return;
    const segment = activeSegment(log);
    const index = segment.index;
    if (index === undefined) throw new Error("Broken invariant: the active segment has its index");
    const { cuts } = log;
    if (queue.length === 0) {
      if (epochAdded) await log.epochFile.write();
      epochAdded = false;
      return;
    }
    const group = takeGroup(queue, { segment, index }, log.settings);
    if (group === undefined) {
      await refusingWithoutSpace(() => roll());
      return;
    }
    if (!(await refusingWithoutSpace(() => write(group, segment.size)))) return;
    for (const header of group.headers) extendIndex(index, header, segment, log.settings.indexIntervalBytes);
    segment.size += group.size;
    segment.nextOffset = group.nextOffset;
    // A cut that came meanwhile runs next, and takes away what was just written.
    if (cuts === log.cuts) {
      log.written = group.nextOffset;
      log.emit({ kind: "written", upTo: log.written });
    }
    await flush(group.nextOffset, cuts);
    if (segment.size - indexedBytes >= indexEveryBytes) {
      indexedBytes = segment.size;
      await writeIndex(context, segment, index);
      await keepSnapshot(log);
    }
  };

  /** What a start found behind the recovery point comes before anything else. */
  const secureTail = async () => {
    tailNow = false;
    if (log.tail === undefined) return;
    if (context.guards.rewriteUnflushedTail) await rewriteTail(log, log.tail);
    log.tail = undefined;
    // A cut that came meanwhile runs next, and says itself what is flushed then.
    if (log.cutting > 0) return;
    noteFlushed(log.written, log.written);
  };

  const write = async (group: Group, position: number) => {
    epochAdded = false;
    await log.epochFile.write();
    held ??= await context.files.acquire(activeSegment(log).path);
    try {
      await held.file.write(position, group.chunks);
    } catch (error) {
      // A part may have been written: no half batch stays (L6).
      if (isSpaceError(error)) await held.file.truncate(position);
      throw error;
    }
  };

  const flush = async (target: Offset, cuts: number) => {
    if (log.settings.flush === "async") {
      held?.release();
      held = undefined;
      if (cuts === log.cuts) noteFlushed(target, log.durable);
      return;
    }
    if (!context.guards.checkpointNeverAhead) log.checkpoint.note({ ...offsetsToNote(log), flushed: target });
    if (context.guards.flushBeforeAck) {
      if (log.epochFile.unsynced) await log.epochFile.sync();
      await held?.file.sync();
    }
    held?.release();
    held = undefined;
    // L9: a flush that began before a cut counts for nothing above it.
    if (context.guards.cutEndsFlushes && cuts !== log.cuts) return;
    noteFlushed(target, target);
  };
  const noteFlushed = (flushed: Offset, durable: Offset) => {
    log.flushed = flushed;
    if (durable !== log.durable) {
      log.durable = durable;
      log.checkpoint.note(offsetsToNote(log));
    }
    log.emit({ kind: "flushed", upTo: flushed });
  };

  const roll = async () => {
    held?.release();
    held = undefined;
    indexedBytes = 0;
    await rollSegment(log, log.written);
  };

  /** False when the disk was full: then everything that waits is refused. */
  const refusingWithoutSpace = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isSpaceError(error)) throw error;
      refuseAll(new LogError("NO_SPACE", `No space to append to ${log.directory}`, { cause: error }));
      await log.epochFile.cut(log.epochs);
      return false;
    }
  };
  const refuseAll = (cause: LogError | undefined) => {
    queue.length = 0;
    epochAdded = false;
    log.end = log.written;
    // An epoch that begins at the end stays: its leader wrote nothing yet.
    log.epochs = cutEpochsAtEnd(log.epochs, (log.end + 1n) as Offset);
    const error = cause ?? new LogError("OFFLINE", `${log.directory} went offline`);
    log.emit({ kind: "refused", from: log.end, error });
    if (log.producers === noProducerState || context.failure() !== undefined || log.status.kind !== "online") return;
    // The producers' state has seen batches that are not there.
    log.cutting++;
    waiting.push(async () => {
      try {
        await rebuildProducers(log);
      } catch (failure) {
        damageSeen(log, failure);
      } finally {
        log.cutting--;
      }
    });
  };

  const assertAppendable = () => {
    assertOnline(log);
    if (closing) throw new LogError("CLOSED", `${log.directory} is being closed`);
    if (log.cutting > 0) throw new LogError("CUTTING", `${log.directory} is being cut`);
  };

  if (tailNow) kick();
  return {
    append(bytes) {
      assertAppendable();
      const headers = readHeaders(bytes, log);
      const first = headers[0];
      const last = headers.at(-1);
      if (first === undefined || last === undefined) throw new LogError("INVALID_APPEND", "There is no batch");
      for (const header of headers) {
        addEpoch(log, header.leaderEpoch, header.baseOffset);
        replayInto(log.producers, header);
      }
      log.end = nextOffsetOf(last);
      queue.push({ bytes, headers });
      kick();
      return { firstOffset: first.baseOffset, nextOffset: log.end };
    },
    beginEpoch(leaderEpoch) {
      assertAppendable();
      addEpoch(log, leaderEpoch, log.end);
      epochAdded = true;
      kick();
    },
    exclusive(work) {
      return new Promise((resolve, reject) => {
        waiting.push(() => work().then(resolve, reject));
        kick();
      });
    },
    stop() {
      closing = true;
    },
    close(work) {
      return new Promise((resolve, reject) => {
        last = async () => {
          last = undefined;
          await work().then(resolve, reject);
        };
        kick();
      });
    },
    dropQueued() {
      queue.length = 0;
    },
    releaseFile() {
      held?.release();
      held = undefined;
      indexedBytes = 0;
    },
  };
}

function addEpoch(log: LogState, leaderEpoch: LeaderEpoch, startOffset: Offset): void {
  if (latestEpoch(log.epochs) === leaderEpoch) return;
  log.epochs = assignEpoch(log.epochs, { leaderEpoch, startOffset });
  log.epochFile.add({ leaderEpoch, startOffset });
}

/** The headers of whole batches that follow the log end. Their checksums were checked by whoever took them in. */
function readHeaders(bytes: Uint8Array, log: LogState): readonly BatchHeader[] {
  const headers: BatchHeader[] = [];
  let end = log.end;
  let epoch = latestEpoch(log.epochs) ?? 0;
  let at = 0;
  while (at < bytes.length) {
    const step = readBatchHeader(bytes, at);
    if (step.kind !== "ok") throw new LogError("INVALID_APPEND", `No whole batch at byte ${at} of what is appended`);
    const { header } = step;
    if (header.baseOffset !== end && !(log.settings.gaps && header.baseOffset > end)) {
      throw new LogError("INVALID_APPEND", `A batch at offset ${header.baseOffset} does not follow ${end}`);
    }
    if (header.leaderEpoch < epoch) {
      throw new LogError("INVALID_APPEND", `Leader epoch ${header.leaderEpoch} does not follow ${epoch}`);
    }
    headers.push(header);
    end = nextOffsetOf(header);
    epoch = header.leaderEpoch;
    at += header.sizeInBytes;
  }
  return headers;
}

function isSpaceError(error: unknown): boolean {
  return error instanceof DiskError && (error.code === "NO_SPACE" || error.code === "NO_HANDLES");
}
