import { type Disk, DiskError, type DiskFile } from "../disk.ts";
import {
  applyChange,
  type Change,
  changeFile,
  createFile,
  directoryAt,
  failSync,
  fileAt,
  syncFile,
} from "./changes.ts";
import { afterPowerLoss, dropAll, type PowerLoss } from "./power-loss.ts";
import { type DirectoryNode, type FileNode, newDirectory, nodeAt } from "./tree.ts";
import { dropUnflushed, flipBit, putFile, takeLock, usedBytes } from "./upkeep.ts";

/**
 * The twin of a disk in memory. What was flushed and what was not are kept apart, for files and for directories.
 *
 * `kill` and `powerCut` end the process that used the disk: what it had under way never settles, and its handles and
 * locks are gone. The same disk then serves the next process. Code that may still run after its process was ended
 * takes the disk by `attach`: its later calls never settle either, while those on the disk itself are of whoever lives.
 */
export interface MemoryDisk extends Disk {
  /** The disk as the process has it that lives now. */
  attach(): Disk;
  /** kill -9: unflushed data stays readable, and stays unflushed. */
  kill(): void;
  /** Power fails: of what was not flushed, `loss` decides. Default: all of it is gone. */
  powerCut(loss?: PowerLoss): void;
  /** The process lives on and what was not flushed vanishes: what a test of a single file needs. */
  dropUnflushed(): void;
  /** A sync of this file fails now: what it should have written is never durable, whatever is synced later. */
  failSync(path: string): void;
  /** Flips a bit at rest, in what is seen and in what is durable. */
  flipBit(path: string, bit: { readonly byte: number; readonly bit: number }): void;
  /** Replaces the content at rest. Makes the file where there is none. */
  put(path: string, bytes: Uint8Array): void;
  /** The content as a process sees it; undefined where there is no file. A copy. */
  peek(path: string): Uint8Array | undefined;
  /** Bytes of all files, as processes see them. */
  usedBytes(): number;
  /** Everything is gone, as after a replacement of the device. */
  lose(): void;
  /** A disk with the same content, to be damaged on its own. Handles and locks are not copied. */
  fork(loss: PowerLoss): MemoryDisk;
}

export interface MemoryDiskOptions {
  /** Called with every change after it was made. */
  readonly onChange?: (change: Change) => void;
}

export function createMemoryDisk(options: MemoryDiskOptions = {}): MemoryDisk {
  return memoryDiskOver(newDirectory(), options);
}

/** What one process has of the disk. */
interface Incarnation {
  readonly locks: Set<string>;
  alive: boolean;
}

interface World {
  root: DirectoryNode;
  readonly note: (change: Change) => void;
}

/** A disk that holds `start` already: what a power loss left, for instance. */
export function memoryDiskOver(start: DirectoryNode, options: MemoryDiskOptions = {}): MemoryDisk {
  const world: World = { root: start, note: options.onChange ?? (() => undefined) };
  let current: Incarnation = { locks: new Set(), alive: true };
  const end = () => {
    current.alive = false;
    current = { locks: new Set(), alive: true };
  };
  return {
    ...diskOf(world, () => current),
    attach() {
      const mine = current;
      return diskOf(world, () => mine);
    },
    kill: end,
    powerCut(loss = dropAll) {
      end();
      world.root = afterPowerLoss(world.root, loss);
    },
    dropUnflushed: () => dropUnflushed(world.root, new Set()),
    failSync: (path) => failSync(fileAt(world.root, path, "sync")),
    flipBit: (path, at) => flipBit(fileAt(world.root, path, "flipBit"), at),
    put: (path, bytes) => putFile(world.root, path, bytes),
    peek(path) {
      const node = nodeAt(world.root, path);
      return node?.kind === "file" ? node.seen.data.slice(0, node.seen.length) : undefined;
    },
    usedBytes: () => usedBytes(world.root),
    lose() {
      end();
      world.root = newDirectory();
    },
    fork: (loss) => memoryDiskOver(afterPowerLoss(world.root, loss)),
  };
}

/** Runs `work` a little later, as a disk would, unless the process died. Then it never settles. */
function act<Value>(by: Incarnation, work: () => Value): Promise<Value> {
  return settled.then(() => (by.alive ? work() : new Promise<never>(() => undefined)));
}

const settled = Promise.resolve();

/** The disk as the process `by` has it. */
function diskOf(world: World, by: () => Incarnation): Disk {
  const change = (made: Change) =>
    act(by(), () => {
      applyChange(world.root, made);
      world.note(made);
    });
  return {
    open(path, how) {
      const process = by();
      const readOnly = how?.readOnly === true;
      return act(process, () =>
        memoryFile(fileAt(world.root, path, "open"), path, { readOnly, by: process, note: world.note }),
      );
    },
    create(path) {
      const process = by();
      return act(process, () => {
        const node = createFile(world.root, path);
        world.note({ kind: "create", path });
        return memoryFile(node, path, { readOnly: false, by: process, note: world.note });
      });
    },
    makeDirectory: (path) => change({ kind: "makeDirectory", path }),
    list: (path) =>
      act(by(), () => {
        const entries = [...directoryAt(world.root, path, "list").seen];
        return entries.map(([name, node]) => ({ name, kind: node.kind })).sort((a, b) => (a.name < b.name ? -1 : 1));
      }),
    rename: (from, to) => change({ kind: "rename", from, to }),
    remove: (path) => change({ kind: "remove", path }),
    syncDirectory: (path) => change({ kind: "syncDirectory", path }),
    lock(directory) {
      const process = by();
      return act(process, () => takeLock(world.root, process.locks, directory));
    },
  };
}

interface FileContext {
  readonly readOnly: boolean;
  readonly by: Incarnation;
  readonly note: (change: Change) => void;
}

function memoryFile(node: FileNode, path: string, { readOnly, by, note }: FileContext): DiskFile {
  let closed = false;
  const run = <Value>(operation: string, changes: boolean, work: () => Value): Promise<Value> => {
    if (closed) return Promise.reject(new DiskError("CLOSED", operation, path));
    if (changes && readOnly) return Promise.reject(new DiskError("DENIED", operation, path));
    return act(by, work);
  };
  return {
    size: () => run("size", false, () => node.seen.length),
    read: (position, length, into) =>
      run("read", false, () => {
        const { seen } = node;
        const end = Math.max(position, Math.min(position + length, seen.length));
        if (into === undefined) return seen.data.slice(position, end);
        into.set(seen.data.subarray(position, end));
        return into.subarray(0, end - position);
      }),
    write: (position, chunks) =>
      run("write", true, () => {
        const bytes = concatenate(chunks);
        if (bytes.length === 0) return;
        changeFile(node, { kind: "write", position, bytes, lost: false });
        note({ kind: "write", path, position, bytes });
      }),
    truncate: (size) =>
      run("truncate", true, () => {
        changeFile(node, { kind: "truncate", size, lost: false });
        note({ kind: "truncate", path, size });
      }),
    sync() {
      // Only what was written before the call.
      const last = node.pending.at(-1);
      return run("sync", false, () => {
        if (last !== undefined) syncFile(node, last);
        note({ kind: "sync", path });
      });
    },
    close: async () => {
      closed = true;
    },
  };
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
