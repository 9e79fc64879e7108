import type { Disk, FilePool } from "@tidemark/disk";
import type { Codecs, Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { LogError } from "./errors.ts";
import type { LogGuards } from "./guards.ts";
import { createIndexCache, type IndexCache } from "./index/index-cache.ts";
import { createReadAheadRoom, type ReadAheadRoom, readAheadBytesDefault } from "./read/read-ahead.ts";
import { createRecentRoom, type RecentRoom, recentBytesDefault } from "./read/recent.ts";

/** What all logs of one directory share. */
export interface LogContext {
  readonly disk: Disk;
  readonly files: FilePool;
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  readonly crc32c: Crc32c;
  /** For what looks into records: lookups by time, and compaction. */
  readonly codecs: Codecs;
  readonly indexes: IndexCache;
  readonly readAhead: ReadAheadRoom;
  readonly recentRoom: RecentRoom;
  readonly guards: LogGuards;
  /** Told how long each flush of what was appended took, in milliseconds. */
  readonly onFlush?: ((ms: number) => void) | undefined;
  /**
   * When a log that was idle begins to write. Default: at once, so that of a burst the first append is a group by itself.
   * Given `afterInput`, all that one turn of the event loop brought becomes one write and one flush.
   */
  readonly beginWriting?: ((write: () => void) => void) | undefined;
  /**
   * Reads a file that the directory has besides its replicas: tells a bad sector from a device that fails. Absent: what
   * cannot be read is always a bad sector.
   */
  readonly readOwnFile?: (() => Promise<unknown>) | undefined;
  /** Set once the directory failed: from then on nothing is acknowledged (L6). */
  failure(): LogError | undefined;
  /** Takes the whole directory out of service. The first cause counts. */
  fail(cause: unknown, during: string): LogError;
  /** The member is told when the directory fails, until it leaves. */
  enter(member: DirectoryMember): void;
  leave(member: DirectoryMember): void;
}

/** Who is to know that the directory failed. */
export interface DirectoryMember {
  directoryFailed(error: LogError): void;
}

export interface LogContextOptions
  extends Omit<LogContext, "failure" | "fail" | "enter" | "leave" | "indexes" | "readAhead" | "recentRoom"> {
  /** The name of the directory, for messages. */
  readonly name: string;
  /** Memory for the indexes of segments that grow no more, in bytes. */
  readonly indexCacheBytes: number;
  /** Memory for what is read before anybody asks for it, in bytes. Default 16 MiB; 0 reads nothing ahead. */
  readonly readAheadBytes?: number;
  /** Memory for what was written last, in bytes. Default 16 MiB; 0 keeps nothing. */
  readonly recentBytes?: number;
}

export function createLogContext({
  name,
  indexCacheBytes,
  readAheadBytes = readAheadBytesDefault,
  recentBytes = recentBytesDefault,
  ...shared
}: LogContextOptions): LogContext {
  const members = new Set<DirectoryMember>();
  let failure: LogError | undefined;
  return {
    ...shared,
    indexes: createIndexCache(indexCacheBytes),
    readAhead: createReadAheadRoom(readAheadBytes, shared.runtime.clock),
    recentRoom: createRecentRoom(recentBytes),
    failure: () => failure,
    fail(cause, during) {
      if (failure !== undefined) return failure;
      const error = new LogError("DIRECTORY_FAILED", `${name} failed while ${during}: ${String(cause)}`, { cause });
      failure = error;
      for (const member of [...members]) member.directoryFailed(error);
      return error;
    },
    enter(member) {
      members.add(member);
    },
    leave(member) {
      members.delete(member);
    },
  };
}

/** Syncs a directory, unless a test took that guard away (L5). */
export async function syncEntries(context: Pick<LogContext, "disk" | "guards">, directory: string): Promise<void> {
  if (context.guards.syncDirectories) await context.disk.syncDirectory(directory);
}
