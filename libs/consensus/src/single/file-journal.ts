/**
 * Batches in an append-only file.
 *
 * 1. A batch is flushed before it counts as written (C8).
 * 2. A full disk leaves nothing behind: what reached the file is cut off and the cut flushed, before anyone is told.
 * 3. A flush that failed says nothing about what is on the disk: the journal has failed, and so has one whose file may
 *    not be the one that a directory names after a power cut.
 * 4. Compaction writes a new file, flushes it, renames it over the old one and flushes the directory. Up to the rename
 *    it may be given up.
 */
import { type Disk, DiskError, type DiskFile } from "@tidemark/disk";
import type { Revision } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import type { EventSink } from "../events.ts";
import type { Journal, JournalOutcome } from "../store/journal.ts";
import type { CommittedBatch, StoredValue } from "../store/store-link.ts";
import { encodeFrame, type FrameCodec, type FrameKind } from "./frames.ts";
import type { SingleGuards } from "./guards.ts";
import { encodeBatches } from "./payloads.ts";
import { type StoreFile, writeStoreFile } from "./store-file.ts";

export interface FileJournalOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
  readonly onEvent: EventSink;
  readonly guards: SingleGuards;
  /** A file of fewer bytes is not compacted by itself. */
  readonly compactionBytesMin: number;
}

interface JournalState {
  readonly options: FileJournalOptions;
  file: DiskFile;
  codec: FrameCodec;
  /** Where the next frame goes. */
  end: number;
  /** Everything below is on stable storage. */
  flushed: number;
  /** Size from which a compaction is wanted. */
  compactAt: number;
}

const written: JournalOutcome = { kind: "written" };

export function createFileJournal(options: FileJournalOptions, opened: StoreFile): Journal {
  const state: JournalState = {
    options,
    file: opened.file,
    codec: { salt: opened.salt, crc32c: options.crc32c },
    end: opened.end,
    flushed: opened.end,
    compactAt: nextCompaction(options, opened.snapshotBytes),
  };
  return {
    write: (batches) => append(state, batches),
    idle: () => mark(state),
    wantsCompaction: () => state.end >= state.compactAt,
    compact: (revision, entries) => compact(state, revision, entries),
    close: () => state.file.close(),
  };
}

/** When the file is large, and mostly history. */
function nextCompaction(options: FileJournalOptions, snapshotBytes: number): number {
  return Math.max(options.compactionBytesMin, 3 * snapshotBytes);
}

async function append(state: JournalState, batches: readonly CommittedBatch[]): Promise<JournalOutcome> {
  const { guards } = state.options;
  const before = state.end;
  try {
    await writeFrame(state, "batches", encodeBatches(batches));
  } catch (error) {
    return cutBack(state, before, diskError(error));
  }
  try {
    if (guards.flushBatches) await state.file.sync();
  } catch (error) {
    return failed(diskError(error));
  }
  state.flushed = state.end;
  return written;
}

/** After a write that failed. */
async function cutBack(state: JournalState, end: number, error: DiskError): Promise<JournalOutcome> {
  if (error.code !== "NO_SPACE") return failed(error);
  try {
    if (state.options.guards.cutBackWhenFull) {
      await state.file.truncate(end);
      await state.file.sync();
    }
  } catch (second) {
    return failed(diskError(second));
  }
  state.end = end;
  return { kind: "noSpace", message: error.message };
}

async function mark(state: JournalState): Promise<JournalOutcome> {
  const before = state.end;
  // Nothing was written since the last mark.
  if (state.flushed < before || !state.options.guards.markWhenIdle) return written;
  try {
    await writeFrame(state, "mark", new Uint8Array(0));
    return written;
  } catch (error) {
    const outcome = await cutBack(state, before, diskError(error));
    return outcome.kind === "noSpace" ? written : outcome;
  }
}

async function writeFrame(state: JournalState, kind: FrameKind, payload: Uint8Array): Promise<void> {
  const chunks = encodeFrame({ kind, payload, position: state.end, flushed: state.flushed }, state.codec);
  await state.file.write(state.end, chunks);
  state.end += chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

async function compact(
  state: JournalState,
  revision: Revision,
  entries: ReadonlyMap<string, StoredValue>,
): Promise<JournalOutcome> {
  const { options } = state;
  const { clock } = options.runtime;
  const startedMs = clock.monotonicMs();
  const outcome = await writeStoreFile(options, { revision, entries });
  switch (outcome.kind) {
    case "failed":
      return failed(outcome.error);
    case "givenUp":
      state.compactAt = state.end + options.compactionBytesMin;
      options.onEvent({ kind: "compactionFailed", message: outcome.error.message });
      return written;
    case "made": {
      const bytesBefore = state.end;
      await goOnWith(state, outcome.made);
      const ms = clock.monotonicMs() - startedMs;
      options.onEvent({ kind: "compacted", revision, entries: entries.size, bytesBefore, bytesAfter: state.end, ms });
      return written;
    }
  }
}

async function goOnWith(state: JournalState, made: StoreFile): Promise<void> {
  const old = state.file;
  state.file = made.file;
  state.codec = { salt: made.salt, crc32c: state.options.crc32c };
  state.end = made.end;
  state.flushed = made.end;
  state.compactAt = nextCompaction(state.options, made.snapshotBytes);
  await old.close();
}

function failed(error: DiskError): JournalOutcome {
  return { kind: "failed", message: error.message };
}

/** Whatever is not the disk's word is a fault of ours, and is not taken for one of the disk. */
function diskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}
