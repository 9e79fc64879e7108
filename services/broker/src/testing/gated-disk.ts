import { type Disk, DiskError, type DiskFile } from "@tidemark/disk";
import { createDeferred, type Deferred } from "@tidemark/runtime";

/** A disk whose syncs can be held back, and that can be full. */
export interface GatedDisk extends Disk {
  /** No sync ends until the returned function is called. */
  holdSyncs(): () => void;
  /** Every write that makes a file longer fails for want of space until the returned function is called. */
  fill(): () => void;
  /** Every sync fails from now on, as on a device that is broken. */
  breakSyncs(): void;
}

export function gateDisk(disk: Disk): GatedDisk {
  let gate: Deferred<void> | undefined;
  let isFull = false;
  let isBroken = false;

  const gateFile = (file: DiskFile, path: string): DiskFile => ({
    size: () => file.size(),
    read: (position, length) => file.read(position, length),
    async write(position, chunks) {
      const end = chunks.reduce((sum, chunk) => sum + chunk.length, position);
      if (isFull && end > (await file.size())) throw new DiskError("NO_SPACE", "write", path);
      await file.write(position, chunks);
    },
    truncate: (size) => file.truncate(size),
    async sync() {
      await gate?.promise;
      if (isBroken) throw new DiskError("IO", "sync", path);
      await file.sync();
    },
    close: () => file.close(),
  });

  return {
    ...disk,
    open: async (path, options) => gateFile(await disk.open(path, options), path),
    create: async (path) => gateFile(await disk.create(path), path),
    holdSyncs() {
      const held = createDeferred();
      gate = held;
      return () => {
        gate = undefined;
        held.resolve();
      };
    },
    breakSyncs() {
      isBroken = true;
    },
    fill() {
      isFull = true;
      return () => {
        isFull = false;
      };
    },
  };
}
