/**
 * The disk of one simulated node: what is written, what of it is flushed, and what a crash leaves.
 *
 * A crash keeps everything flushed and, of the writes that were not, some first part: whole writes in their order, then a
 * part of one, which ends after the hard state or within the entries.
 */
import { applyWrite, copyImage, isLast, type LogImage } from "../checks/log-image.ts";
import { indexAfter } from "../ids.ts";
import type { Membership } from "../membership.ts";
import type { Write } from "../ready.ts";
import type { SnapshotMeta, StartState } from "../start-state.ts";
import type { Draw } from "./random.ts";

/** A snapshot with the state that it holds: one number stands for it. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly state: number;
}

/** What stands on a disk. */
export type DiskImage = LogImage<StoredSnapshot>;

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
      applyWrite(written, write, completed({ write, restored }));
    },
    flush(number) {
      const rest = pending.findIndex(({ write }) => write.token.write > number);
      const done = pending.splice(0, rest === -1 ? pending.length : rest);
      for (const each of done) applyWrite(durable, each.write, completed(each));
    },
    saveSnapshot(snapshot) {
      for (const image of [written, durable]) {
        if (snapshot.meta.index > image.snapshot.meta.index) image.snapshot = snapshot;
      }
    },
    crash(draw) {
      const kept = draw.between(0, pending.length);
      for (const each of pending.slice(0, kept)) applyWrite(durable, each.write, completed(each));
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

/** Every membership that the disk knows of. */
export function knownMemberships(image: DiskImage): Membership[] {
  return [
    image.snapshot.meta.membership,
    ...image.entries.flatMap((entry) => (entry.kind === "membership" ? [entry.membership] : [])),
  ];
}

function tear(image: DiskImage, pending: PendingWrite, draw: Draw): void {
  const { write, restored } = pending;
  const hardState = draw.chance(0.5) ? write.hardState : undefined;
  // Entries come after the hard state's own flush.
  const entries = hardState === write.hardState ? draw.between(0, write.entries.length) : 0;
  const snapshotChunks = entries > 0 || draw.chance(0.3) ? write.snapshotChunks : [];
  const survives =
    hardState === write.hardState ? { ...write, snapshotChunks } : { ...write, snapshotChunks: [], hardState };
  const left = { ...survives, compactThrough: undefined };
  applyWrite(image, left, completed({ write: left, restored }), entries);
}

/** The snapshot that the write's last piece completes. */
function completed({ write, restored }: PendingWrite): StoredSnapshot | undefined {
  const last = write.snapshotChunks.findLast((chunk) => isLast(chunk));
  return last === undefined || restored === undefined ? undefined : { meta: last.snapshot, state: restored };
}
