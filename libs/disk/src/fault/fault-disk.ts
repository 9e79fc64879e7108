import { createDeferred, type Scheduler } from "@tidemark/runtime";
import { type Disk, DiskError, type DiskFile } from "../disk.ts";
import type { MemoryDisk } from "../memory/memory-disk.ts";
import type { DiskOperation, Effect, FaultPlan } from "./faults.ts";

/**
 * A disk in memory, as the process has it that lives now, which fails as its plan says. Kills, power cuts, bit flips and the loss of the whole disk are made on
 * the memory disk itself.
 */
export interface FaultDisk extends Disk {
  /** Takes another plan from now on. */
  plan(plan: FaultPlan): void;
}

interface Faults {
  readonly memory: MemoryDisk;
  readonly scheduler: Scheduler;
  plan: FaultPlan;
}

type After = (ms: number, task: () => void) => void;

export function createFaultDisk(
  memory: MemoryDisk,
  { scheduler, plan }: { readonly scheduler: Scheduler; readonly plan?: FaultPlan },
): FaultDisk {
  const disk = memory.attach();
  const faults: Faults = { memory, scheduler, plan: plan ?? (() => undefined) };
  const after: After = (ms, task) => scheduler.after(ms, task);
  const through = <Value>(kind: DiskOperation["kind"], path: string, work: () => Promise<Value>) =>
    perform(faults, after, { kind, path, bytes: 0 }, work);
  const file = async (opened: Promise<DiskFile>, path: string) => faultFile(faults, await opened, path);
  return {
    plan(next) {
      faults.plan = next;
    },
    open: (path, how) => through("open", path, () => file(disk.open(path, how), path)),
    create: (path) => through("create", path, () => file(disk.create(path), path)),
    makeDirectory: (path) => through("makeDirectory", path, () => disk.makeDirectory(path)),
    list: (path) => through("list", path, () => disk.list(path)),
    rename: (from, to) => through("rename", from, () => disk.rename(from, to)),
    remove: (path) => through("remove", path, () => disk.remove(path)),
    syncDirectory: (path) => through("syncDirectory", path, () => disk.syncDirectory(path)),
    lock: (directory) => through("lock", directory, () => disk.lock(directory)),
  };
}

/** Its close waits for what is under way, as on any disk: what is delayed has not reached the file in memory yet. */
function faultFile(faults: Faults, file: DiskFile, path: string): DiskFile {
  let underWay = 0;
  let isClosed = false;
  const ended = createDeferred();
  const after: After = (ms, task) => {
    underWay++;
    faults.scheduler.after(ms, () => {
      task();
      if (--underWay === 0 && isClosed) ended.resolve();
    });
  };
  const run = <Value>(
    kind: DiskOperation["kind"],
    bytes: number,
    work: () => Promise<Value>,
    part?: (length: number) => Promise<void>,
  ): Promise<Value> => {
    if (isClosed) return Promise.reject(new DiskError("CLOSED", kind, path));
    return perform(faults, after, { kind, path, bytes }, work, part);
  };
  return {
    size: () => run("size", 0, () => file.size()),
    read: (position, length, into) => run("read", length, () => file.read(position, length, into)),
    write(position, chunks) {
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const part = (length: number) => file.write(position, firstBytes(chunks, length));
      return run("write", bytes, () => file.write(position, chunks), part);
    },
    truncate: (size) => run("truncate", 0, () => file.truncate(size)),
    sync: () => run("sync", 0, () => file.sync()),
    close() {
      isClosed = true;
      return underWay === 0 ? file.close() : ended.promise.then(() => file.close());
    },
  };
}

function perform<Value>(
  faults: Faults,
  after: After,
  operation: DiskOperation,
  work: () => Promise<Value>,
  part?: (length: number) => Promise<void>,
): Promise<Value> {
  const effect = faults.plan(operation);
  if (effect === undefined) return work();
  if (effect.kind !== "delay") return harm(faults, after, operation, effect, part);
  // Nearly every operation of a simulated device: one promise, and no more of what a chain of them costs.
  return new Promise((resolve, reject) => {
    after(effect.ms, () => {
      work().then(resolve, reject);
    });
  });
}

async function harm(
  faults: Faults,
  after: After,
  { kind, path }: DiskOperation,
  effect: Exclude<Effect, { readonly kind: "delay" }>,
  part: ((length: number) => Promise<void>) | undefined,
): Promise<never> {
  switch (effect.kind) {
    case "fail":
      if (kind === "sync") faults.memory.failSync(path);
      throw new DiskError(effect.code, kind, path);
    case "short":
      await part?.(effect.bytes);
      throw new DiskError(effect.code, kind, path);
    case "hang":
      await new Promise<void>((resolve) => after(effect.ms, resolve));
      if (kind === "sync") faults.memory.failSync(path);
      throw new DiskError("HUNG", kind, path);
  }
}

function firstBytes(chunks: readonly Uint8Array[], length: number): readonly Uint8Array[] {
  const kept: Uint8Array[] = [];
  let left = length;
  for (const chunk of chunks) {
    if (left <= 0) break;
    kept.push(chunk.subarray(0, left));
    left -= chunk.length;
  }
  return kept;
}
