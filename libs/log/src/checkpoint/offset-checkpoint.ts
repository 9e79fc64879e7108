/**
 * Notes the flushed offset, the high watermark and the log start of one log (L4).
 *
 * To note is a plain write, which costs no flush and survives a kill; at least once in `syncMs` it is flushed too, for a
 * power cut. A high watermark that has moved alone waits for that, or for the next note: it moves again with each batch.
 * `persistOffsets` returns when its values are durable. One operation is under way at a time, and notes that come
 * meanwhile become one. A full disk takes no note and harms nothing: what was noted before stays, and lags behind.
 */
import type { PooledFile } from "@tidemark/disk";
import { type Cancel, createDeferred, type Deferred } from "@tidemark/runtime";
import type { LogContext } from "../context.ts";
import { join, offsetFileName } from "../names.ts";
import { isSpaceError } from "../space.ts";
import {
  encodeSlot,
  type NotedOffsets,
  newestSlot,
  type SlotIndex,
  slotFileBytes,
  slotPosition,
} from "./offset-slot.ts";

export interface OffsetCheckpoint extends CheckpointStart {
  readonly directory: string;
  readonly syncMs: number;
  offsets: NotedOffsets;
  syncedSlot: SlotIndex;
  sequence: bigint;
  /** There are offsets to be written. */
  isDirty: boolean;
  /** More than the high watermark is to be written: that does not wait for the next sync. */
  isDue: boolean;
  /** What was written is not synced. */
  isUnsynced: boolean;
  running: Promise<void> | undefined;
  /** Waits for the next sync. */
  wanted: Deferred<void> | undefined;
  cancelTimer: Cancel | undefined;
  held: PooledFile | undefined;
}

/** What is durable when the checkpoint begins: which slot holds the newest record, and its number. */
export interface CheckpointStart {
  readonly offsets: NotedOffsets;
  readonly syncedSlot: SlotIndex;
  readonly sequence: bigint;
}

/**
 * What was noted last, durable on return. A process that was killed may have written it and not flushed it: segments below
 * its log start are removed on the strength of it, and the slot that is written next is the one that was durable before.
 * Undefined when neither slot is valid.
 */
export function recoverOffsetCheckpoint(context: LogContext, directory: string): Promise<CheckpointStart | undefined> {
  return newestRecord(context, directory, (file) => file.sync());
}

/** What was noted last, durable or not. Undefined when neither slot is valid. */
export function readOffsetCheckpoint(context: LogContext, directory: string): Promise<CheckpointStart | undefined> {
  return newestRecord(context, directory, () => Promise.resolve());
}

async function newestRecord(
  context: LogContext,
  directory: string,
  settle: (file: PooledFile["file"]) => Promise<void>,
): Promise<CheckpointStart | undefined> {
  const { file, release } = await context.files.acquire(join(directory, offsetFileName));
  try {
    await settle(file);
    const newest = newestSlot(await file.read(0, slotFileBytes), context.crc32c);
    if (newest === undefined) return undefined;
    return { offsets: newest.slot.offsets, syncedSlot: newest.index, sequence: newest.slot.sequence };
  } finally {
    release();
  }
}

export function createOffsetCheckpoint(
  directory: string,
  { start, syncMs }: { readonly start: CheckpointStart; readonly syncMs: number },
): OffsetCheckpoint {
  return {
    ...start,
    directory,
    syncMs,
    isDirty: false,
    isDue: false,
    isUnsynced: false,
    running: undefined,
    wanted: undefined,
    cancelTimer: undefined,
    held: undefined,
  };
}

/** Writes them soon, without a flush. */
export function noteOffsets(context: LogContext, checkpoint: OffsetCheckpoint, offsets: NotedOffsets): void {
  checkpoint.offsets = offsets;
  checkpoint.isDirty = true;
  checkpoint.isDue = true;
  writeOffsets(context, checkpoint);
}

/** Keeps them for `writeOffsets`; without it they are persisted within `syncMs`. */
export function rememberOffsets(context: LogContext, checkpoint: OffsetCheckpoint, offsets: NotedOffsets): void {
  if (context.failure() !== undefined) return;
  const { flushed, logStart } = checkpoint.offsets;
  if (offsets.flushed !== flushed || offsets.logStart !== logStart) checkpoint.isDue = true;
  checkpoint.offsets = offsets;
  checkpoint.isDirty = true;
  if (checkpoint.running === undefined) arm(context, checkpoint);
}

/** Writes what is remembered soon, without a flush, unless that is a high watermark alone. */
export function writeOffsets(context: LogContext, checkpoint: OffsetCheckpoint): void {
  if (!checkpoint.isDue || context.failure() !== undefined) return;
  run(context, checkpoint).catch(ignore);
}

/** Durable on return. Rejects with the DiskError of a full disk; then they are noted when there is room. */
export function persistOffsets(
  context: LogContext,
  checkpoint: OffsetCheckpoint,
  offsets: NotedOffsets,
): Promise<void> {
  checkpoint.offsets = offsets;
  checkpoint.isDirty = true;
  return persistNow(context, checkpoint);
}

/** Persists what was noted, unless the directory failed, and lets go of the file. Nothing may be noted after it. */
export async function closeCheckpoint(context: LogContext, checkpoint: OffsetCheckpoint): Promise<void> {
  const { isDirty, isUnsynced, running } = checkpoint;
  try {
    const isOpen = isDirty || isUnsynced || running !== undefined;
    if (isOpen && context.failure() === undefined) await persistNow(context, checkpoint);
  } finally {
    // Also where there was no room: nobody tries again.
    disarm(checkpoint);
    checkpoint.held?.release();
    checkpoint.held = undefined;
  }
}

async function persistNow(context: LogContext, checkpoint: OffsetCheckpoint): Promise<void> {
  const failure = context.failure();
  if (failure !== undefined) throw failure;
  disarm(checkpoint);
  checkpoint.wanted ??= createDeferred();
  const { promise } = checkpoint.wanted;
  await Promise.all([promise, run(context, checkpoint)]);
}

function run(context: LogContext, checkpoint: OffsetCheckpoint): Promise<void> {
  if (checkpoint.running === undefined) {
    checkpoint.running = work(context, checkpoint);
    checkpoint.running.catch(ignore);
  }
  return checkpoint.running;
}

async function work(context: LogContext, checkpoint: OffsetCheckpoint): Promise<void> {
  let isWriting = false;
  try {
    while (checkpoint.isDue || checkpoint.wanted !== undefined) {
      const waiting = checkpoint.wanted;
      checkpoint.wanted = undefined;
      isWriting = checkpoint.isDirty;
      if (isWriting) await write(context, checkpoint);
      isWriting = false;
      if (waiting === undefined) continue;
      if (checkpoint.isUnsynced) await sync(checkpoint);
      waiting.resolve();
    }
  } catch (error) {
    // Of a write alone: after a sync that failed nobody knows what is on disk, whatever the cause (L6).
    const failure = isWriting && isSpaceError(error) ? error : context.fail(error, "noting offsets");
    checkpoint.wanted?.reject(failure);
    checkpoint.wanted = undefined;
    checkpoint.isDirty = true;
    checkpoint.isDue = true;
    if (context.failure() === undefined) arm(context, checkpoint);
    throw failure;
  } finally {
    checkpoint.running = undefined;
  }
  if (checkpoint.isUnsynced || checkpoint.isDirty) arm(context, checkpoint);
}

async function write(context: LogContext, checkpoint: OffsetCheckpoint): Promise<void> {
  checkpoint.isDirty = false;
  checkpoint.isDue = false;
  checkpoint.sequence += 1n;
  checkpoint.held ??= await context.files.acquire(join(checkpoint.directory, offsetFileName));
  const slot = encodeSlot(checkpoint, context.crc32c);
  await checkpoint.held.file.write(slotPosition(otherSlot(checkpoint.syncedSlot)), [slot]);
  checkpoint.isUnsynced = true;
}

async function sync(checkpoint: OffsetCheckpoint): Promise<void> {
  disarm(checkpoint);
  const { held } = checkpoint;
  if (held === undefined) return;
  await held.file.sync();
  checkpoint.syncedSlot = otherSlot(checkpoint.syncedSlot);
  checkpoint.isUnsynced = false;
  checkpoint.held = undefined;
  held.release();
}

function arm(context: LogContext, checkpoint: OffsetCheckpoint): void {
  checkpoint.cancelTimer ??= context.runtime.scheduler.after(checkpoint.syncMs, () => {
    persistNow(context, checkpoint).catch(ignore);
  });
}

function disarm(checkpoint: OffsetCheckpoint): void {
  checkpoint.cancelTimer?.();
  checkpoint.cancelTimer = undefined;
}

function otherSlot(slot: SlotIndex): SlotIndex {
  return slot === 0 ? 1 : 0;
}

/** Whoever waits is told; the directory has failed with the same error, or the next try comes. */
function ignore(): void {
  return undefined;
}
