import { type Disk, DiskError, type DiskFile } from "./disk.ts";

/**
 * Keeps files open between uses, at most so many of them while they are idle: the one used longest ago is closed first.
 * Files in use are never closed, so a file with unflushed writes is kept in use until it was synced: a file system
 * tells a failed write-back to those who had the file open.
 */
export interface FilePool {
  /** Opens the file, or takes the handle that is open already. `release` it once. Fails like `Disk.open`. */
  acquire(path: string): Promise<PooledFile>;
  /** Makes a new file and acquires it. Fails like `Disk.create`. */
  create(path: string): Promise<PooledFile>;
  /** The path names another file from now on, or none: who acquires it later gets what is there then. */
  forget(path: string): void;
  /** The same for every file below a directory, which gets another name. */
  forgetBelow(directory: string): void;
  /** Closes what is idle; what is in use is closed when it is released. */
  close(): Promise<void>;
}

export interface PooledFile {
  readonly file: DiskFile;
  readonly release: () => void;
}

interface Entry {
  readonly path: string;
  readonly opening: Promise<DiskFile>;
  users: number;
  /** Nobody else may take it: it is closed when its last user has gone. */
  retired: boolean;
}

/** `capacity`: how many files may be open. More are opened only while that many are in use. */
export function createFilePool(disk: Disk, capacity: number): FilePool {
  // A map keeps the order of insertion; an entry that becomes idle moves to the end.
  const entries = new Map<string, Entry>();
  let closed = false;

  const closeFile = async (entry: Entry) => {
    try {
      await (await entry.opening).close();
    } catch (error) {
      // Nothing unflushed is in an idle file, so nothing is lost when its close fails.
      if (!(error instanceof DiskError)) throw error;
    }
  };
  const retire = (entry: Entry): Promise<void> => {
    if (entries.get(entry.path) === entry) entries.delete(entry.path);
    if (entry.retired) return Promise.resolve();
    entry.retired = true;
    return entry.users === 0 ? closeFile(entry) : Promise.resolve();
  };
  const makeRoom = async () => {
    for (const entry of entries.values()) {
      if (entries.size <= capacity) return;
      if (entry.users === 0) await retire(entry);
    }
  };
  const release = (entry: Entry) => {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      entry.users--;
      if (entry.users > 0) return;
      if (entry.retired || closed) {
        if (!entry.retired) void retire(entry).catch(ignore);
        else void closeFile(entry).catch(ignore);
        return;
      }
      // More are open than may be: so many were in use at once.
      if (entries.size > capacity) {
        void retire(entry).catch(ignore);
        return;
      }
      entries.delete(entry.path);
      entries.set(entry.path, entry);
    };
  };
  const take = async (entry: Entry): Promise<PooledFile> => {
    entry.users++;
    try {
      const file = await entry.opening;
      if (entries.size > capacity) await makeRoom();
      return { file, release: release(entry) };
    } catch (error) {
      entry.users--;
      entry.retired = true;
      if (entries.get(entry.path) === entry) entries.delete(entry.path);
      throw error;
    }
  };
  const enter = (path: string, opening: Promise<DiskFile>): Promise<PooledFile> => {
    const entry: Entry = { path, opening, users: 0, retired: false };
    entries.set(path, entry);
    return take(entry);
  };

  return {
    async acquire(path) {
      if (closed) throw new DiskError("CLOSED", "open", path);
      const entry = entries.get(path);
      return entry === undefined ? enter(path, disk.open(path)) : take(entry);
    },
    async create(path) {
      if (closed) throw new DiskError("CLOSED", "create", path);
      return enter(path, disk.create(path));
    },
    forget(path) {
      const entry = entries.get(path);
      if (entry !== undefined) void retire(entry).catch(ignore);
    },
    forgetBelow(directory) {
      for (const entry of [...entries.values()]) {
        if (entry.path.startsWith(`${directory}/`)) void retire(entry).catch(ignore);
      }
    },
    async close() {
      closed = true;
      await Promise.all([...entries.values()].map(retire));
    },
  };
}

function ignore(): void {
  return undefined;
}
