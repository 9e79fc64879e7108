/**
 * What a node keeps on disk: identity, hard state, snapshots and log. Writes are carried out in the order in which they
 * were handed out, each in the order of its fields, and many of them share one flush.
 */
import type { Disk } from "@tidemark/disk";
import type { LogIndex, SnapshotMeta, Write } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import type { HardStateFile } from "./hard-state.ts";
import type { LogFiles } from "./log-files.ts";
import type { SnapshotFiles, StoredSnapshot } from "./snapshot-files.ts";

export interface RaftStorage {
  /** Resolves when they are on stable storage, as far as any of them has to be. One call at a time. */
  write(writes: readonly Write[]): Promise<void>;
  /** Nothing waits to be written. */
  idle(): Promise<void>;
  /** The state of a snapshot that came in whole, once, and that of the snapshot that was found at the start. */
  takeState(index: LogIndex): Uint8Array | undefined;
  /** Makes a snapshot of one's own durable. */
  saveSnapshot(snapshot: StoredSnapshot): Promise<void>;
  /** Bytes of a snapshot's state. Undefined where it is gone. */
  readSnapshot(
    meta: SnapshotMeta,
    range: { readonly offset: number; readonly length: number },
  ): Promise<Uint8Array | undefined>;
  /** Of the log, in bytes. */
  logBytes(): number;
  /** How many entries the log has. */
  logEntries(): number;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly disk: Disk;
  /** Absolute, and the node's alone. */
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
  /** Default 8 MiB. */
  readonly segmentBytes?: number;
  /** Defaults to all of them. */
  readonly guards?: StorageGuards;
}

/** What makes that a promise outlives a crash. Tests take one out at a time and see a promise break. */
export interface StorageGuards {
  /** Term and vote are flushed before they are said to be. */
  readonly flushHardState: boolean;
  /** Entries are flushed before they are said to be. */
  readonly flushEntries: boolean;
}

export const allStorageGuards: StorageGuards = { flushHardState: true, flushEntries: true };

export interface StorageParts {
  readonly hardState: HardStateFile;
  readonly snapshots: SnapshotFiles;
  readonly log: LogFiles;
  readonly newest: StoredSnapshot | undefined;
  readonly guards: StorageGuards;
  readonly release: () => Promise<void>;
}

export function createStorage(parts: StorageParts): RaftStorage {
  const { hardState, snapshots, log } = parts;
  const states = new Map<LogIndex, Uint8Array>();
  if (parts.newest !== undefined) states.set(parts.newest.meta.index, parts.newest.state);

  const carryOut = async (write: Write) => {
    if (write.hardState !== undefined) await hardState.write(write.hardState);
    for (const chunk of write.snapshotChunks) {
      const received = await snapshots.receive(chunk);
      if (received === undefined) continue;
      states.clear();
      states.set(received.meta.index, received.state);
      await log.startAt((received.meta.index + 1) as LogIndex);
    }
    await log.append(write.entries);
    if (write.compactThrough !== undefined) await log.dropThrough(write.compactThrough);
  };

  return {
    async write(writes) {
      for (const write of writes) await carryOut(write);
      if (parts.guards.flushEntries && writes.some(({ mustFlush }) => mustFlush)) await log.flush();
    },
    idle: () => log.mark(),
    takeState(index) {
      const state = states.get(index);
      states.delete(index);
      return state;
    },
    saveSnapshot: (snapshot) => snapshots.save(snapshot),
    readSnapshot: (meta, range) => snapshots.read(meta, range),
    logBytes: () => log.sizeBytes(),
    logEntries: () => log.entries(),
    async close() {
      await hardState.close();
      await log.close();
      await snapshots.close();
      await parts.release();
    },
  };
}
