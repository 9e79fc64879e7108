/**
 * What a log keeps for the state machine of idempotent producers (R11): it is shown every batch in order, and its state
 * is kept in snapshots, so that a start shows it only the batches behind the newest one.
 */
import { readWholeFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, type Crc32c, lastOffsetOf, noProducerId } from "@tidemark/record";
import { createAside } from "../aside.ts";
import { viewOf } from "../bytes.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { join, parseSegmentFileName, segmentFileName } from "../names.ts";
import { ifReadable } from "../unreadable.ts";

/** The state machine, as the log drives it. It never waits. */
export interface ProducerState {
  /** Takes the state from a snapshot that it made; undefined: begins with no producer at all. */
  restore(snapshot: Uint8Array | undefined): void;
  /** A batch with a producer id stands in the log. */
  replay(header: BatchHeader): void;
  /** What lies below `upTo` is written: none of it is taken back. */
  written(upTo: Offset): void;
  /** The disk took nothing at or above `from`: the batches that were shown from there on are not in the log. */
  takeBack(from: Offset): void;
  /** The state, to be restored later. */
  snapshot(): Uint8Array;
}

/** Of a log whose producers nobody asks about. */
export const noProducerState: ProducerState = {
  restore: () => undefined,
  replay: () => undefined,
  written: () => undefined,
  takeBack: () => undefined,
  snapshot: () => new Uint8Array(0),
};

const magic = 0x544d5053;
const version = 1;
const headerBytes = 24;
/** Snapshots that are kept: a cut below the newest one goes back to one before. */
const snapshotsKept = 3;

export function replayInto(state: ProducerState, header: BatchHeader): void {
  if (header.producerId !== noProducerId) state.replay(header);
}

/** Keeps the state of everything below `offset` and drops the oldest snapshots. */
export async function writeSnapshot(
  context: LogContext,
  directory: string,
  { offset, state }: { readonly offset: Offset; readonly state: Uint8Array },
): Promise<void> {
  await createAside(
    context,
    directory,
    segmentFileName(offset, "snapshot"),
    encodeSnapshot(offset, state, context.crc32c),
  );
  const offsets = await snapshotOffsets(context, directory);
  for (const old of offsets.slice(0, -snapshotsKept)) await removeSnapshot(context, directory, old);
}

/** The newest snapshot at or below `end` that is whole; later ones are removed, they are of a log that was cut. */
export async function readSnapshot(
  context: LogContext,
  directory: string,
  end: Offset,
): Promise<{ readonly offset: Offset; readonly state: Uint8Array } | undefined> {
  let removed = false;
  try {
    for (const offset of (await snapshotOffsets(context, directory)).toReversed()) {
      const state = offset <= end ? await readState(context, directory, offset) : undefined;
      if (state !== undefined) return { offset, state };
      await removeSnapshot(context, directory, offset);
      removed = true;
    }
    return undefined;
  } finally {
    // One of another history must not come back when the log has grown to its offset again.
    if (removed) await syncEntries(context, directory);
  }
}

/** Removes what covers batches at or above `end`, durably: the log may grow to there again with other batches. */
export async function removeSnapshotsAbove(context: LogContext, directory: string, end: Offset): Promise<void> {
  const above = (await snapshotOffsets(context, directory)).filter((offset) => offset > end);
  for (const offset of above) await removeSnapshot(context, directory, offset);
  if (above.length > 0) await syncEntries(context, directory);
}

/** A log that begins anew has none of the batches that the snapshots know. Durable when the directory is synced. */
export async function removeSnapshots(context: LogContext, directory: string): Promise<void> {
  for (const offset of await snapshotOffsets(context, directory)) await removeSnapshot(context, directory, offset);
}

export function isBehind(header: BatchHeader, offset: Offset): boolean {
  return lastOffsetOf(header) >= offset;
}

function encodeSnapshot(offset: Offset, state: Uint8Array, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(headerBytes + state.length);
  const view = viewOf(bytes);
  view.setUint32(0, magic);
  view.setUint32(4, version);
  view.setBigInt64(8, offset);
  view.setUint32(16, state.length);
  bytes.set(state, headerBytes);
  view.setUint32(20, crc32c(state, crc32c(bytes.subarray(0, 20))));
  return bytes;
}

function decodeSnapshot(bytes: Uint8Array, offset: Offset, crc32c: Crc32c): Uint8Array | undefined {
  if (bytes.length < headerBytes) return undefined;
  const view = viewOf(bytes);
  const state = bytes.subarray(headerBytes);
  if (view.getUint32(0) !== magic || view.getUint32(4) !== version) return undefined;
  if (view.getBigInt64(8) !== offset || view.getUint32(16) !== state.length) return undefined;
  return view.getUint32(20) === crc32c(state, crc32c(bytes.subarray(0, 20))) ? state : undefined;
}

async function snapshotOffsets(context: LogContext, directory: string): Promise<readonly Offset[]> {
  const entries = await context.disk.list(directory);
  return entries.flatMap(({ name }) => {
    // Of the many files of a log few are: the others are not looked at closely.
    if (!name.endsWith(".snapshot")) return [];
    const parsed = parseSegmentFileName(name);
    return parsed?.kind === "snapshot" ? [parsed.baseOffset] : [];
  });
}

async function readState(context: LogContext, directory: string, offset: Offset): Promise<Uint8Array | undefined> {
  const path = join(directory, segmentFileName(offset, "snapshot"));
  const bytes = await ifReadable(() => readWholeFile(context.disk, path));
  return bytes === undefined ? undefined : decodeSnapshot(bytes, offset, context.crc32c);
}

async function removeSnapshot(context: LogContext, directory: string, offset: Offset): Promise<void> {
  await context.disk.remove(join(directory, segmentFileName(offset, "snapshot")));
}
