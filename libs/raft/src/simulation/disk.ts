/**
 * The disk of one simulated node: what is written, what of it is flushed, and what a crash leaves.
 *
 * A crash keeps everything flushed and, of the writes that were not, some first part: whole writes in their order, then a
 * part of one, which ends after the hard state or within the entries.
 */
import type { Entry } from "../entry.ts";
import { indexAfter, type LogIndex, type Position } from "../ids.ts";
import type { Membership } from "../membership.ts";
import type { Write } from "../ready.ts";
import type { HardState, SnapshotMeta, StartState } from "../start-state.ts";
import type { Draw } from "./random.ts";

/** A snapshot with the state that it holds: one number stands for it. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly state: number;
}

/** What stands on a disk. */
export interface DiskImage {
  hardState: HardState;
  snapshot: StoredSnapshot;
  /** Of the first entry. */
  first: LogIndex;
  entries: Entry[];
}

export interface SimulatedDisk {
  /** Everything that was written. */
  readonly written: DiskImage;
  /** What a crash cannot take. */
  readonly durable: DiskImage;
  /** `restored`: the state that the write's last piece of a snapshot completes. */
  write(write: Write, restored: number | undefined): void;
  /** The write `write` and all before it are on stable storage. */
  flush(write: number): void;
  /** A snapshot of the node's own, in a file of its own, flushed. */
  saveSnapshot(snapshot: StoredSnapshot): void;
  /** What is left for the next life. */
  crash(draw: Draw): SimulatedDisk;
}

interface PendingWrite {
  readonly write: Write;
  readonly restored: number | undefined;
}

export function createDisk(image: DiskImage): SimulatedDisk {
  const durable = copyImage(image);
  const written = copyImage(image);
  const pending: PendingWrite[] = [];
  return {
    written,
    durable,
    write(write, restored) {
      pending.push({ write, restored });
      applyWrite(written, { write, restored }, write.entries.length);
    },
    flush(number) {
      const rest = pending.findIndex(({ write }) => write.token.write > number);
      const done = pending.splice(0, rest === -1 ? pending.length : rest);
      for (const write of done) applyWrite(durable, write, write.write.entries.length);
    },
    saveSnapshot(snapshot) {
      for (const image of [written, durable]) {
        if (snapshot.meta.index > image.snapshot.meta.index) image.snapshot = snapshot;
      }
    },
    crash(draw) {
      const kept = draw.between(0, pending.length);
      for (const write of pending.slice(0, kept)) applyWrite(durable, write, write.write.entries.length);
      const torn = pending[kept];
      if (torn !== undefined) tear(durable, torn, draw);
      return createDisk(durable);
    },
  };
}

/** What is on the disk for a node to start from. */
export function startFrom(image: DiskImage): StartState {
  return { hardState: image.hardState, snapshot: image.snapshot.meta, entries: image.entries };
}

export function imageOf(start: StartState): DiskImage {
  return {
    hardState: start.hardState,
    snapshot: { meta: start.snapshot, state: 0 },
    first: indexAfter(start.snapshot.index),
    entries: [...start.entries],
  };
}

/** The entry at `index`; undefined when it is not kept. */
export function entryAt(image: DiskImage, index: number): Entry | undefined {
  return image.entries[index - image.first];
}

export function lastOf(image: DiskImage): Position {
  const last = image.entries.at(-1);
  return last !== undefined && last.index > image.snapshot.meta.index ? last : image.snapshot.meta;
}

/** The newest membership on the disk. */
export function membershipOf(image: DiskImage): Membership {
  const entry = image.entries.findLast((found) => found.kind === "membership");
  return entry !== undefined && entry.index > image.snapshot.meta.index
    ? entry.membership
    : image.snapshot.meta.membership;
}

/** Every membership that the disk knows of. */
export function knownMemberships(image: DiskImage): Membership[] {
  return [
    image.snapshot.meta.membership,
    ...image.entries.flatMap((entry) => (entry.kind === "membership" ? [entry.membership] : [])),
  ];
}

function copyImage(image: DiskImage): DiskImage {
  return { ...image, entries: [...image.entries] };
}

function tear(image: DiskImage, pending: PendingWrite, draw: Draw): void {
  const { write, restored } = pending;
  const hardState = draw.chance(0.5) ? write.hardState : undefined;
  // Entries come after the hard state's own flush.
  const entries = hardState === write.hardState ? draw.between(0, write.entries.length) : 0;
  const snapshotChunks = entries > 0 || draw.chance(0.3) ? write.snapshotChunks : [];
  const survives =
    hardState === write.hardState ? { ...write, snapshotChunks } : { ...write, snapshotChunks: [], hardState };
  applyWrite(image, { write: { ...survives, compactThrough: undefined }, restored }, entries);
}

function applyWrite(image: DiskImage, { write, restored }: PendingWrite, entryCount: number): void {
  if (write.hardState !== undefined) image.hardState = write.hardState;
  const completed = write.snapshotChunks.findLast((chunk) => isLast(chunk));
  if (completed !== undefined && restored !== undefined) {
    image.snapshot = { meta: completed.snapshot, state: restored };
    image.first = indexAfter(completed.snapshot.index);
    image.entries = [];
  }
  const first = write.entries[0];
  if (first !== undefined && entryCount > 0) {
    image.entries.length = Math.max(0, first.index - image.first);
    for (const entry of write.entries.slice(0, entryCount)) image.entries.push(entry);
  }
  if (write.compactThrough !== undefined && write.compactThrough >= image.first) {
    image.entries = image.entries.slice(write.compactThrough - image.first + 1);
    image.first = indexAfter(write.compactThrough);
  }
}

/** Whether this piece completes its snapshot. */
export function isLast(chunk: { offset: number; data: Uint8Array; snapshot: SnapshotMeta }): boolean {
  return chunk.offset + chunk.data.byteLength === chunk.snapshot.sizeBytes;
}
