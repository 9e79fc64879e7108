import { join } from "node:path/posix";
import { type Disk, DiskError, makeDurableDirectory } from "@tidemark/disk";
import type { DirectoryId } from "@tidemark/ids";
import { blankStart, type Entry, type LogIndex, type SnapshotMeta, StartError, type StartState } from "@tidemark/raft";
import { RaftOpenError } from "./errors.ts";
import { makeBlankDirectory } from "./format.ts";
import { openHardState } from "./hard-state.ts";
import { type DirectoryIdentity, readIdentity } from "./identity.ts";
import { fileNames, isOwnFile, snapshotPattern } from "./layout.ts";
import { createLogFiles, type LogFiles } from "./log-files.ts";
import { recoverLog } from "./log-recovery.ts";
import { openSnapshots } from "./snapshot-files.ts";
import { allStorageGuards, createStorage, type RaftStorage, type StorageOptions } from "./storage.ts";

export interface OpenedStorage {
  readonly storage: RaftStorage;
  readonly identity: DirectoryIdentity;
  readonly start: StartState;
  /** Bytes of a write that was under way at a power cut, and that were cut off. */
  readonly cutBytes: number;
}

/**
 * Opens a directory for this process alone. One that is empty becomes that of a member to be, without a vote. Throws
 * RaftOpenError, and leaves nothing open then.
 */
export async function openStorage(
  options: StorageOptions & {
    /** What the directory is known as. */
    readonly directoryId: DirectoryId;
    /** The cluster that it has to belong to. Undefined: whichever it belongs to. */
    readonly clusterId: string | undefined;
  },
): Promise<OpenedStorage> {
  const { disk, directory } = options;
  try {
    await makeDurableDirectory(disk, directory);
    const lock = await disk.lock(directory);
    try {
      return await openLocked(options, () => lock.release());
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw openErrorOf(error, directory);
  }
}

async function openLocked(
  options: Parameters<typeof openStorage>[0],
  release: () => Promise<void>,
): Promise<OpenedStorage> {
  const { disk, directory, guards = allStorageGuards, segmentBytes = 8 * 1024 * 1024 } = options;
  const identity = await readOwnIdentity(options);
  await removeUnfinished(disk, directory);
  const hardState = await openHardState({ ...options, flush: guards.flushHardState });
  const { files: snapshots, newest } = await openSnapshots(options);
  const { segments, entries, cutBytes } = await recoverLog(options);
  await disk.syncDirectory(directory);
  const log = createLogFiles({ ...options, segmentBytes }, segments);
  const snapshot = newest?.meta ?? blankStart.snapshot;
  const kept = await forgetWhatSnapshotReplaced(log, snapshot, entries);
  const storage = createStorage({ hardState, snapshots, log, newest, guards, release });
  return { storage, identity, start: { hardState: hardState.found, snapshot, entries: kept }, cutBytes };
}

async function readOwnIdentity(options: Parameters<typeof openStorage>[0]): Promise<DirectoryIdentity> {
  const { disk, directory, directoryId, clusterId } = options;
  let identity = await readIdentity(disk, directory);
  if (identity === undefined) {
    identity = { directoryId, clusterId };
    await makeBlankDirectory({ ...options, identity });
  }
  if (identity.directoryId !== directoryId) {
    const message = `it was made as ${identity.directoryId}, and is here as ${directoryId}: it was copied or mixed up`;
    throw new RaftOpenError("FOREIGN", directory, message);
  }
  if (clusterId !== undefined && identity.clusterId !== undefined && identity.clusterId !== clusterId) {
    const message = `it belongs to the cluster ${identity.clusterId}, and cluster.id says ${clusterId}: correct one of them`;
    throw new RaftOpenError("FOREIGN", directory, message);
  }
  return identity;
}

/** What was being written at the last end, and all snapshots but the newest. */
async function removeUnfinished(disk: Disk, directory: string): Promise<void> {
  const names = (await disk.list(directory)).map(({ name }) => name);
  const snapshots = names.filter((name) => snapshotPattern.test(name)).slice(0, -1);
  const unfinished = names.filter((name) => isOwnFile(name) && (name.endsWith(".new") || name === fileNames.incoming));
  for (const name of [...unfinished, ...snapshots]) await disk.remove(join(directory, name));
}

/**
 * A snapshot that came in replaced the log by its rename; a crash behind that leaves the old log. It is told by not
 * holding the snapshot's last entry.
 */
async function forgetWhatSnapshotReplaced(
  log: LogFiles,
  { index, term }: SnapshotMeta,
  entries: readonly Entry[],
): Promise<readonly Entry[]> {
  const [first] = entries;
  if (first === undefined || first.index > index) return entries;
  if (entries[index - first.index]?.term === term) return entries;
  await log.startAt((index + 1) as LogIndex);
  return [];
}

function openErrorOf(error: unknown, directory: string): unknown {
  if (error instanceof StartError) return new RaftOpenError("DAMAGED", directory, error.message, { cause: error });
  if (!(error instanceof DiskError)) return error;
  if (error.code === "LOCKED") {
    return new RaftOpenError("LOCKED", directory, "another process has this directory", { cause: error });
  }
  const message = error.code === "NOT_FOUND" ? `${error.path} is missing: replace this member` : error.message;
  const code = error.code === "NOT_FOUND" ? "DAMAGED" : "DISK";
  return new RaftOpenError(code, directory, message, { cause: error });
}
