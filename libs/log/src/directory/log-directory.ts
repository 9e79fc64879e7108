/**
 * One log directory: who it belongs to, which replicas it holds, and that it fails alone (L2, L6, L10).
 */
import {
  createFilePool,
  type Disk,
  DiskError,
  type DiskLock,
  makeDurableDirectory,
  readWholeFile,
} from "@tidemark/disk";
import type { BrokerEpoch, ControllerEpoch, DirectoryId, Offset } from "@tidemark/ids";
import type { Codecs, Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { createLogContext, type LogContext, syncEntries } from "../context.ts";
import type { LogError } from "../errors.ts";
import { allGuards, type LogGuards } from "../guards.ts";
import type { Log } from "../log.ts";
import { damageFileName, join, parseSegmentFileName } from "../names.ts";
import { createLogFiles, type OpenLogOptions, openLog, type StartReport } from "../open-log.ts";
import { unlessMissing } from "../recovery/find-files.ts";
import { openControllerEpochFile } from "./controller-epoch-file.ts";
import { DirectoryError } from "./directory-error.ts";
import { type DirectoryOwner, metaFileName } from "./meta-properties.ts";
import { createOpenedLogs } from "./opened-logs.ts";
import { parseReplicaName, type ReplicaId, replicaName } from "./replica-list.ts";
import { openReplicaList } from "./replica-list-file.ts";
import { readMeta, takeStopFile, writeStopFile } from "./start-files.ts";

export interface LogDirectory {
  readonly path: string;
  readonly id: DirectoryId;
  /** The broker epoch whose stop was clean; undefined after a crash, and in a new directory. */
  readonly stoppedBy: BrokerEpoch | undefined;
  /**
   * Lines of the list of replicas that this start could not read, kept in `replicas.unreadable`. What is there was listed
   * anew; a replica that is neither there nor named by another line is not missed.
   */
  readonly unreadableLines: number;
  /**
   * True where the list of replicas was gone, which no crash does. What is there was listed anew by the names of its
   * folders; a replica that is gone too is not missed.
   */
  readonly lostList: boolean;
  /** The highest controller epoch that was noted here. 0: none was. */
  readonly controllerEpoch: ControllerEpoch;
  /** Why the directory is out of service, if it is. */
  readonly failure: LogError | undefined;
  /** What was created here and not removed. What is listed and not there is damaged when it is opened. */
  replicas(): readonly ReplicaId[];
  /** Makes an empty replica, durable on return. Fails where it exists. */
  create(replica: ReplicaId, startOffset?: Offset): Promise<void>;
  /**
   * Opens a replica. A damaged one comes back offline. Fails with LOCKED while it is open, or being opened: a log is
   * written by one at a time.
   */
  open(replica: ReplicaId, options: OpenLogOptions): Promise<Log>;
  /** Replicas whose data was set aside here: kept, and opened by nobody. */
  aside(): readonly ReplicaId[];
  /**
   * Keeps a replica's data under another name, and lists it no longer; durable on return. Fails with EXISTS where other
   * data of it was set aside before: neither is thrown away.
   */
  setAside(replica: ReplicaId): Promise<void>;
  /**
   * Lists a replica again that was set aside, with all its data; durable on return. Fails with EXISTS where there is data
   * of it that was not set aside.
   */
  takeBack(replica: ReplicaId): Promise<void>;
  /**
   * Removes a replica with all its data, set aside or not; for one that is damaged this is how it is given up. Close its
   * log before.
   */
  remove(replica: ReplicaId): Promise<void>;
  /** Notes a controller epoch, durably on return, where it is higher than what was noted. */
  noteControllerEpoch(epoch: ControllerEpoch): Promise<void>;
  /** Closes every log. With a broker epoch, and if nothing failed, the stop was clean and says so. */
  close(stop?: { readonly brokerEpoch: BrokerEpoch }): Promise<void>;
}

export interface LogDirectoryOptions {
  readonly path: string;
  /** A disk of its own, so that one directory that hangs leaves the others alone. */
  readonly disk: Disk;
  readonly runtime: Runtime;
  readonly crc32c: Crc32c;
  readonly owner: DirectoryOwner;
  /** Told once, when the directory fails. */
  readonly onFailure: (error: LogError) => void;
  /** Told what the start of each replica found. */
  readonly onStart?: (replica: ReplicaId, report: StartReport) => void;
  /** For lookups by time and for compaction, which look into records. What is not there stays as it is. */
  readonly codecs?: Codecs;
  /** Memory for the indexes of segments that grow no more, in bytes. Default 64 MiB. */
  readonly indexCacheBytes?: number;
  /** Files open at a time. Default 1,000. */
  readonly maxOpenFiles?: number;
  /** Makes the directory where there is none. Otherwise one that is missing is unavailable, as an unmounted disk is. */
  readonly createMissing?: boolean;
  readonly guards?: LogGuards;
  /** Told how long each flush of what was appended took, in milliseconds. */
  readonly onFlush?: (ms: number) => void;
  /** When a log that was idle begins to write, see `LogContext`. Default: at once. */
  readonly beginWriting?: (write: () => void) => void;
}

const maxOpenFilesDefault = 1000;
const indexCacheBytesDefault = 64 * 1024 * 1024;
/** The suffix of a replica's directory while it is being removed. */
const removedSuffix = ".removed";
/** The suffix of a directory whose data was set aside. */
const asideSuffix = ".stray";

/** Opens a directory, or makes it one. Throws a `DirectoryError`. */
export async function openLogDirectory(options: LogDirectoryOptions): Promise<LogDirectory> {
  const { disk, path } = options;
  const lock = await orUnavailable(path, async () => {
    if (options.createMissing === true) await makeDurableDirectory(disk, path);
    return disk.lock(path);
  });
  try {
    return await orUnavailable(path, () => openLocked(options, lock));
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openLocked(options: LogDirectoryOptions, lock: DiskLock): Promise<LogDirectory> {
  const { path, disk } = options;
  const context = createLogContext({
    name: path,
    disk,
    files: createFilePool(disk, options.maxOpenFiles ?? maxOpenFilesDefault),
    runtime: options.runtime,
    crc32c: options.crc32c,
    codecs: options.codecs ?? {},
    indexCacheBytes: options.indexCacheBytes ?? indexCacheBytesDefault,
    guards: options.guards ?? allGuards,
    onFlush: options.onFlush,
    beginWriting: options.beginWriting,
    readOwnFile: () => readWholeFile(disk, join(path, metaFileName)),
  });
  const meta = await readMeta(context, path, { owner: options.owner, random: options.runtime.random });
  const list = await openReplicaList(context, path);
  const stoppedBy = await takeStopFile(context, path);
  const controllerEpochs = await openControllerEpochFile(context, path);
  const aside = await sweep(context, path, list);
  context.enter({ directoryFailed: options.onFailure });
  const opened = createOpenedLogs(path);

  const guarded = async <Value>(during: string, work: () => Promise<Value>): Promise<Value> => {
    const failure = context.failure();
    if (failure !== undefined) throw failure;
    try {
      return await work();
    } catch (error) {
      if (error instanceof DiskError && (error.code === "IO" || error.code === "HUNG"))
        throw context.fail(error, during);
      throw error;
    }
  };

  return {
    path,
    id: meta.directoryId,
    stoppedBy,
    unreadableLines: list.unreadableLines,
    lostList: list.wasLost,
    get controllerEpoch() {
      return controllerEpochs.noted;
    },
    get failure() {
      return context.failure();
    },
    replicas: () => [...list.replicas.values()],
    create: (replica, startOffset) =>
      guarded("creating a replica", async () => {
        const name = replicaName(replica);
        if (list.replicas.has(name)) throw new DiskError("EXISTS", "create", join(path, name));
        // What an attempt left that was interrupted before it was listed.
        await disk.remove(join(path, name));
        await createLogFiles({ context, directory: join(path, name) }, startOffset);
        await list.add(replica);
      }),
    open: (replica, how) =>
      guarded("opening a replica", async () => {
        const name = replicaName(replica);
        const onStart = (report: StartReport) => {
          how.onStart?.(report);
          options.onStart?.(replica, report);
        };
        return opened.open(name, () => openLog({ context, directory: join(path, name) }, { ...how, onStart }));
      }),
    remove: (replica) =>
      guarded("removing a replica", async () => {
        const name = replicaName(replica);
        await opened.forget(name);
        if (list.replicas.has(name)) await list.remove(replica);
        await moveAway(context, path, name);
        if (aside.delete(name)) await moveAway(context, path, name + asideSuffix);
      }),
    aside: () => [...aside.values()],
    setAside: (replica) =>
      guarded("setting a replica aside", async () => {
        const name = replicaName(replica);
        if (aside.has(name)) throw new DiskError("EXISTS", "set aside", join(path, name));
        await opened.forget(name);
        // First from the list: what is not listed and whole is listed again at the next start, what is listed and not
        // there is damage.
        await list.remove(replica);
        if (await renameDurably(context, path, name, name + asideSuffix)) aside.set(name, replica);
      }),
    takeBack: (replica) =>
      guarded("taking a replica back", async () => {
        const name = replicaName(replica);
        if (aside.has(name)) await removeHalfMade(context, join(path, name));
        if (!(await renameDurably(context, path, name + asideSuffix, name))) return;
        aside.delete(name);
        await list.add(replica);
      }),
    noteControllerEpoch: (epoch) => guarded("noting the controller epoch", () => controllerEpochs.note(epoch)),
    async close(stop) {
      const isClean = await opened.close();
      await controllerEpochs.close();
      try {
        if (stop !== undefined && isClean && context.failure() === undefined) {
          await writeStopFile(context, path, stop.brokerEpoch);
        }
      } finally {
        await context.files.close();
        await lock.release();
      }
    },
  };
}

/**
 * Finishes removals, and lists replicas that were made and not listed before a crash. One that was half made goes. The
 * answer are those that were set aside.
 */
async function sweep(
  context: LogContext,
  path: string,
  list: Awaited<ReturnType<typeof openReplicaList>>,
): Promise<Map<string, ReplicaId>> {
  const aside = new Map<string, ReplicaId>();
  for (const { name, kind } of await context.disk.list(path)) {
    if (kind !== "directory") continue;
    if (name.endsWith(removedSuffix)) await context.disk.remove(join(path, name));
    const stray = name.endsWith(asideSuffix) ? parseReplicaName(name.slice(0, -asideSuffix.length)) : undefined;
    if (stray !== undefined) aside.set(replicaName(stray), stray);
    const replica = parseReplicaName(name);
    if (replica === undefined || list.replicas.has(name)) continue;
    if (await removeHalfMade(context, join(path, name))) continue;
    // Whoever made it may have died before its name was durable: what is listed is there after any power cut.
    await syncEntries(context, join(path, name));
    await syncEntries(context, path);
    await list.add(replica);
  }
  return aside;
}

/**
 * The segment is the last thing that is made: a replica that has none was never used, and goes, unless damage was noted
 * there. True: it is gone.
 */
async function removeHalfMade({ disk }: LogContext, directory: string): Promise<boolean> {
  const entries = (await unlessMissing(() => disk.list(directory))) ?? [];
  if (entries.some(({ name }) => name === damageFileName || parseSegmentFileName(name)?.kind === "log")) return false;
  await disk.remove(directory);
  return true;
}

/** Gone at once and durably, whatever interrupts the removal of the files. */
async function moveAway(context: LogContext, path: string, name: string): Promise<void> {
  const away = join(path, name + removedSuffix);
  // What a removal left that could not remove the files.
  await context.disk.remove(away);
  if (await renameDurably(context, path, name, name + removedSuffix)) await context.disk.remove(away);
}

/** False where there is nothing of that name. */
async function renameDurably(context: LogContext, path: string, from: string, to: string): Promise<boolean> {
  try {
    await context.disk.rename(join(path, from), join(path, to));
  } catch (error) {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return false;
    throw error;
  }
  // Whoever opens a replica of that name later gets its own files, not those that were open.
  context.files.forgetBelow(join(path, from));
  await syncEntries(context, path);
  return true;
}

async function orUnavailable<Value>(path: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.code === "LOCKED") {
      throw new DirectoryError("LOCKED", path, "another process has this directory", { cause: error });
    }
    throw new DirectoryError("UNAVAILABLE", path, error.message, { cause: error });
  }
}

/** Those that could be opened, and why the others could not. Throws where the process must not start at all. */
export async function openLogDirectories(
  all: readonly LogDirectoryOptions[],
): Promise<{ readonly open: readonly LogDirectory[]; readonly failed: readonly DirectoryError[] }> {
  const open: LogDirectory[] = [];
  const failed: DirectoryError[] = [];
  for (const options of all) {
    try {
      open.push(await openLogDirectory(options));
    } catch (error) {
      if (error instanceof DirectoryError && error.code === "UNAVAILABLE") {
        failed.push(error);
        continue;
      }
      await Promise.all(open.map((directory) => directory.close()));
      throw error;
    }
  }
  return { open, failed };
}
