import type { Disk, DiskFile, DiskLock } from "@tidemark/disk";

/** A disk whose process can be ended as by kill -9: what is under way and what comes never settles, and locks are free. */
export interface KillableDisk extends Disk {
  kill(): void;
}

export function createKillableDisk(disk: Disk): KillableDisk {
  const process: Process = { alive: true, files: new Set(), locks: new Set() };
  const alive = <Value>(work: Promise<Value>) => whileAlive(process, work);
  const keep = async (opening: Promise<DiskFile>) => {
    const file = await alive(opening);
    process.files.add(file);
    return killableFile(process, file);
  };
  return {
    open: (path, how) => keep(disk.open(path, how)),
    create: (path) => keep(disk.create(path)),
    makeDirectory: (path) => alive(disk.makeDirectory(path)),
    list: (path) => alive(disk.list(path)),
    rename: (from, to) => alive(disk.rename(from, to)),
    remove: (path) => alive(disk.remove(path)),
    syncDirectory: (path) => alive(disk.syncDirectory(path)),
    async lock(directory) {
      const lock = await alive(disk.lock(directory));
      process.locks.add(lock);
      return lock;
    },
    kill() {
      process.alive = false;
      const settled = () => undefined;
      for (const lock of process.locks) lock.release().catch(settled);
      for (const file of process.files) file.close().catch(settled);
    },
  };
}

interface Process {
  alive: boolean;
  readonly files: Set<DiskFile>;
  readonly locks: Set<DiskLock>;
}

function killableFile(process: Process, file: DiskFile): DiskFile {
  const alive = <Value>(work: () => Promise<Value>) =>
    process.alive ? whileAlive(process, work()) : new Promise<never>(() => {});
  return {
    size: () => alive(() => file.size()),
    read: (position, length, into) => alive(() => file.read(position, length, into)),
    write: (position, chunks) => alive(() => file.write(position, chunks)),
    truncate: (size) => alive(() => file.truncate(size)),
    sync: () => alive(() => file.sync()),
    async close() {
      process.files.delete(file);
      await alive(() => file.close());
    },
  };
}

function whileAlive<Value>(process: Process, work: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    work.then(
      (value) => {
        if (process.alive) resolve(value);
      },
      (error: unknown) => {
        if (process.alive) reject(error instanceof Error ? error : new Error("Not an error"));
      },
    );
  });
}
