import * as fs from "node:fs";
import type { Runtime } from "@tidemark/runtime";
import { type DirectoryEntry, type Disk, DiskError } from "../disk.ts";
import { createNodeFile } from "./node-file.ts";
import { lockDirectory } from "./node-lock.ts";
import { createOperations } from "./operations.ts";
import { createWatchdog } from "./watchdog.ts";

export interface NodeDiskOptions {
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  /** Milliseconds after which an operation counts as hung. Default 10,000 (`log.flush.hang.ms`). */
  readonly hangMs?: number;
  /** Syncs at a time. Default 2. */
  readonly maxSyncs?: number;
  /** Other operations at a time. Default 4. */
  readonly maxOthers?: number;
}

const defaults = { hangMs: 10_000, maxSyncs: 2, maxOthers: 4 };

/**
 * How many threads of Node's pool (`UV_THREADPOOL_SIZE`) a process needs so that `disks` disks with the default limits,
 * all of them hung, leave four threads for name lookups and compression.
 */
export function threadPoolSize(disks: number): number {
  return disks * (defaults.maxSyncs + defaults.maxOthers) + 4;
}

/** The file system of this machine. One for each log directory, so that each has its own limits. */
export function createNodeDisk(options: NodeDiskOptions): Disk {
  const watchdog = createWatchdog(options.runtime, options.hangMs ?? defaults.hangMs);
  const limits = { syncs: options.maxSyncs ?? defaults.maxSyncs, others: options.maxOthers ?? defaults.maxOthers };
  const operations = createOperations(limits, watchdog);
  const run = <Value>(name: string, path: string, call: (done: (error: Error | null, value: Value) => void) => void) =>
    operations.run<Value>("other", name, path, call);
  const openWith = async (name: string, path: string, flags: string) =>
    createNodeFile(await run<number>(name, path, (done) => fs.open(path, flags, 0o640, done)), path, operations);

  return {
    open: (path, how) => openWith("open", path, how?.readOnly === true ? "r" : "r+"),
    create: (path) => openWith("create", path, "wx+"),
    makeDirectory: (path) =>
      run("mkdir", path, (done) => fs.mkdir(path, { recursive: true }, (error) => done(error, undefined))),
    async list(path) {
      const entries = await run<fs.Dirent[]>("list", path, (done) => fs.readdir(path, { withFileTypes: true }, done));
      return entries.map(toEntry).sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    rename: (from, to) => run("rename", from, (done) => fs.rename(from, to, (error) => done(error, undefined))),
    remove: (path) =>
      run("remove", path, (done) => fs.rm(path, { recursive: true, force: true }, (error) => done(error, undefined))),
    async syncDirectory(path) {
      const directory = await openWith("open", path, "r");
      try {
        await directory.sync();
      } catch (error) {
        throw error instanceof DiskError ? new DiskError(error.code, "syncDirectory", path, { cause: error }) : error;
      } finally {
        await directory.close();
      }
    },
    lock: async (directory) => lockDirectory(directory),
  };
}

function toEntry(entry: fs.Dirent): DirectoryEntry {
  return { name: entry.name, kind: entry.isDirectory() ? "directory" : "file" };
}
