/**
 * Carries the writes of a node to its disk, in order and one round at a time: whatever was handed out while a round was
 * under way goes into the next one together, with one flush.
 */
import { detached } from "@tidemark/consensus/store";
import { DiskError } from "@tidemark/disk";
import type { FlushToken, Write } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import type { RaftStorage } from "../storage/storage.ts";
import type { NodeEventSink } from "./events.ts";

export interface DiskWriter {
  add(write: Write): void;
  /** Nothing more is written. Resolves when what is under way has ended. */
  stop(): Promise<void>;
}

export interface DiskWriterOptions {
  readonly storage: RaftStorage;
  readonly clock: Clock;
  readonly onEvent: NodeEventSink;
  /** This write, and all before it, are on stable storage. */
  readonly onFlushed: (token: FlushToken) => void;
  /** Once: what is on the disk is not known any more. */
  readonly onFailed: (error: DiskError) => void;
}

export function createDiskWriter(options: DiskWriterOptions): DiskWriter {
  let waiting: Write[] = [];
  let running: Promise<void> | undefined;
  let stopped = false;

  const isStopped = () => stopped;
  const take = () => {
    const taken = stopped ? [] : waiting;
    waiting = [];
    return taken;
  };
  const run = async () => {
    for (let round = take(); round.length > 0; round = take()) {
      await carryOut(options, round);
      if (!isStopped() && waiting.length === 0) await options.storage.idle();
    }
    // In the same turn in which nothing was found: what comes before this promise has settled begins another run.
    running = undefined;
  };

  const runSafely = async () => {
    try {
      await run();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      stopped = true;
      options.onFailed(error);
    }
  };

  return {
    add(write) {
      if (stopped) return;
      waiting.push(write);
      if (running !== undefined) return;
      running = runSafely();
      detached(running);
    },
    async stop() {
      stopped = true;
      await running;
    },
  };
}

async function carryOut(options: DiskWriterOptions, round: readonly Write[]): Promise<void> {
  const { storage, clock, onEvent, onFlushed } = options;
  const startedMs = clock.monotonicMs();
  await storage.write(round);
  const entries = round.reduce((sum, write) => sum + write.entries.length, 0);
  onEvent({ kind: "written", writes: round.length, entries, ms: clock.monotonicMs() - startedMs });
  const last = round.findLast(({ mustFlush }) => mustFlush) ?? undefined;
  if (last !== undefined) onFlushed(last.token);
}
