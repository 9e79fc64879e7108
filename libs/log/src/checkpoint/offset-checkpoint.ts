/**
 * Notes the flushed offset, the high watermark and the log start of one log (L4).
 *
 * `note` is a plain write, which costs no flush and survives a kill; at least once in `syncMs` it is flushed too, for a
 * power cut. `persist` returns when its values are durable. One operation is under way at a time, and notes that come
 * meanwhile become one.
 */
import type { PooledFile } from "@tidemark/disk";
import { type Cancel, createDeferred, type Deferred } from "@tidemark/runtime";
import type { LogContext } from "../context.ts";
import { join, offsetFileName } from "../names.ts";
import {
  encodeSlot,
  type NotedOffsets,
  newestSlot,
  type SlotIndex,
  slotFileBytes,
  slotPosition,
} from "./offset-slot.ts";

export interface OffsetCheckpoint {
  readonly offsets: NotedOffsets;
  /** Writes them soon, without a flush. */
  note(offsets: NotedOffsets): void;
  /** Keeps them for the next write, which comes within `syncMs`. */
  remember(offsets: NotedOffsets): void;
  /** Durable on return. */
  persist(offsets: NotedOffsets): Promise<void>;
  /** Persists what was noted. No call may follow. */
  close(): Promise<void>;
}

/** What is on disk when the checkpoint begins: which slot holds the newest synced record, and its number. */
export interface CheckpointStart {
  readonly offsets: NotedOffsets;
  readonly syncedSlot: SlotIndex;
  readonly sequence: bigint;
}

export async function readOffsetCheckpoint(
  context: LogContext,
  directory: string,
): Promise<CheckpointStart | undefined> {
  const { file, release } = await context.files.acquire(join(directory, offsetFileName));
  try {
    const newest = newestSlot(await file.read(0, slotFileBytes), context.crc32c);
    if (newest === undefined) return undefined;
    return { offsets: newest.slot.offsets, syncedSlot: newest.index, sequence: newest.slot.sequence };
  } finally {
    release();
  }
}

export function createOffsetCheckpoint(
  context: LogContext,
  directory: string,
  { start, syncMs }: { readonly start: CheckpointStart; readonly syncMs: number },
): OffsetCheckpoint {
  const path = join(directory, offsetFileName);
  let offsets = start.offsets;
  let { sequence, syncedSlot } = start;
  let dirty = false;
  let unsynced = false;
  let running: Promise<void> | undefined;
  let wanted: Deferred<void> | undefined;
  let cancelTimer: Cancel | undefined;
  let held: PooledFile | undefined;

  const write = async () => {
    dirty = false;
    sequence += 1n;
    held ??= await context.files.acquire(path);
    const slot: SlotIndex = syncedSlot === 0 ? 1 : 0;
    await held.file.write(slotPosition(slot), [encodeSlot({ sequence, offsets }, context.crc32c)]);
    unsynced = true;
  };
  const sync = async () => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (held === undefined) return;
    await held.file.sync();
    syncedSlot = syncedSlot === 0 ? 1 : 0;
    unsynced = false;
    held.release();
    held = undefined;
  };
  const work = async () => {
    try {
      while (dirty || wanted !== undefined) {
        const waiting = wanted;
        wanted = undefined;
        if (dirty) await write();
        if (waiting === undefined) continue;
        if (unsynced) await sync();
        waiting.resolve();
      }
    } catch (error) {
      const failure = context.fail(error, "noting offsets");
      wanted?.reject(failure);
      throw failure;
    } finally {
      running = undefined;
    }
    if (unsynced) arm();
  };
  const arm = () => {
    cancelTimer ??= context.runtime.scheduler.after(syncMs, () => void persistNow().catch(ignore));
  };
  const run = () => {
    if (running === undefined) {
      running = work();
      running.catch(ignore);
    }
    return running;
  };
  const persistNow = async () => {
    const failure = context.failure();
    if (failure !== undefined) throw failure;
    cancelTimer?.();
    cancelTimer = undefined;
    wanted ??= createDeferred();
    const { promise } = wanted;
    await Promise.all([promise, run()]);
  };

  return {
    get offsets() {
      return offsets;
    },
    note(noted) {
      if (context.failure() !== undefined) return;
      offsets = noted;
      dirty = true;
      void run().catch(ignore);
    },
    remember(noted) {
      if (context.failure() !== undefined) return;
      offsets = noted;
      dirty = true;
      if (running === undefined) arm();
    },
    persist(noted) {
      offsets = noted;
      dirty = true;
      return persistNow();
    },
    async close() {
      if (dirty || unsynced) await persistNow();
    },
  };
}

/** Whoever waits is told; the directory has failed with the same error. */
function ignore(): void {
  return undefined;
}
