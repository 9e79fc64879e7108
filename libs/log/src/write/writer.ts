/**
 * Group commit: the appends that came while a flush was under way become one write and one flush, and the next begins
 * when it ends. Everything that changes the end of the log runs here, one thing at a time.
 *
 * State and functions apart: a broker holds thousands of logs, most of them idle.
 */
import type { PooledFile } from "@tidemark/disk";
import type { Cancel } from "@tidemark/runtime";
import { writeOffsets } from "../checkpoint/offset-checkpoint.ts";
import type { LogState } from "../log-state.ts";
import { commitNext } from "./commit.ts";
import type { QueuedBatches } from "./queue.ts";

/** What a start found and had no room for is tried again after so many milliseconds: each time, a segment is copied. */
const tailRetryMs = 5000;

export interface WriterState {
  /** What was appended and not yet written. */
  readonly queue: QueuedBatches[];
  /** Work that wants the log's end for itself; it goes before the queue. */
  readonly waiting: (() => Promise<void>)[];
  /** Runs when everything else is done. */
  last: (() => Promise<void>) | undefined;
  isRunning: boolean;
  isClosing: boolean;
  /** A leader epoch began: it is written also when nothing is appended. */
  hasEpoch: boolean;
  /** What a start found behind the recovery point is to be secured now, also when nothing is appended. */
  hasTail: boolean;
  /** A cut ended half way, as by a crash: what is known of the log's end is not what is on disk. */
  isCutHalf: boolean;
  /** Leader epochs and producer snapshots on disk may cover batches that were refused. */
  hasRefused: boolean;
  /** Path of a segment that a roll began and could not finish: it must be gone before the one before it grows. */
  begunSegment: string | undefined;
  /** Ends the wait for the next try, while there was no room for it. */
  cancelTailRetry: Cancel | undefined;
  /** It is seen to that the offsets are noted when nothing more comes. */
  isNoteDue: boolean;
  /**
   * What was taken off the active segment's end may come back with a power cut, since nothing was flushed there: a start
   * found the segment like that, or a write that found no room was taken back.
   */
  mayRegrow: boolean;
  /** The active segment's file, from a write to the flush behind it. */
  held: PooledFile | undefined;
  /** Size of the active segment when its index file was written last. */
  indexedBytes: number;
}

export function createWriterState(): WriterState {
  return {
    queue: [],
    waiting: [],
    last: undefined,
    isRunning: false,
    isClosing: false,
    hasEpoch: false,
    hasTail: false,
    isCutHalf: false,
    hasRefused: false,
    begunSegment: undefined,
    cancelTailRetry: undefined,
    isNoteDue: false,
    mayRegrow: true,
    held: undefined,
    indexedBytes: 0,
  };
}

/** Takes up work, unless that is under way already. */
export function kick(log: LogState): void {
  if (log.writer.isRunning) return;
  log.writer.isRunning = true;
  const { beginWriting } = log.context;
  if (beginWriting === undefined) start(log);
  else beginWriting(() => start(log));
}

function start(log: LogState): void {
  // What fails is told where it fails; only a listener that throws can bring the log to a stop.
  run(log).catch((error: unknown) => log.context.fail(error, `telling of ${log.directory}`));
}

async function run(log: LogState): Promise<void> {
  const { writer } = log;
  for (;;) {
    const work = writer.waiting.shift();
    if (work !== undefined) await work();
    else if (writer.queue.length > 0 || writer.hasEpoch || writer.hasTail) {
      if ((await commitNext(log)) === "noRoomForTail") retryTail(log);
    } else if (writer.last !== undefined) await writer.last();
    else break;
  }
  writer.isRunning = false;
  noteWhenIdle(log);
}

/**
 * What was flushed is noted beside the next flush, or as soon as none follows. Whoever waits for a flush before he appends
 * has appended when this is asked, so that the note does not come before what he wrote.
 */
function noteWhenIdle({ writer, checkpoint, context }: LogState): void {
  if (writer.isNoteDue || !checkpoint.isDue) return;
  writer.isNoteDue = true;
  context.runtime.scheduler.afterInput(() => {
    writer.isNoteDue = false;
    // What runs now sees to it when it ends.
    if (!writer.isRunning) writeOffsets(context, checkpoint);
  });
}

function retryTail(log: LogState): void {
  const { writer } = log;
  if (writer.isClosing) return;
  writer.cancelTailRetry ??= log.context.runtime.scheduler.after(tailRetryMs, () => {
    writer.cancelTailRetry = undefined;
    writer.hasTail = true;
    kick(log);
  });
}

/** Runs when nothing is under way; what was appended and not yet written waits behind it. */
export function exclusive<Value>(log: LogState, work: () => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    log.writer.waiting.push(() => work().then(resolve, reject));
    kick(log);
  });
}

/** Writes and flushes what was appended, then runs. `isClosing` is set before, so that nothing is appended any more. */
export function afterEverything(log: LogState, work: () => Promise<void>): Promise<void> {
  const { writer } = log;
  return new Promise((resolve, reject) => {
    writer.last = async () => {
      writer.last = undefined;
      await work().then(resolve, reject);
    };
    kick(log);
  });
}
