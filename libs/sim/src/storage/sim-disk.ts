import {
  createFaultDisk,
  createMemoryDisk,
  type Disk,
  type DiskErrorCode,
  type DiskOperation,
  type Effect,
  type FaultPlan,
  limitedSpace,
  type MemoryDisk,
  type PowerLoss,
} from "@tidemark/disk";
import { below, pick, type Random } from "@tidemark/runtime";
import type { SimProcess } from "../engine/sim-process.ts";

/** What a machine's device does to those who use it, from now on. */
export interface DeviceFaults {
  /** Share of flushes that fail, 0 to 1. */
  failedSyncs: number;
  /** Until then every flush waits, in milliseconds of the run. */
  stalledUntilMs: number;
  /** Bytes that fit. Infinity: any number. */
  capacity: number;
  /** What a part of the device refuses. Undefined: nothing. */
  failing: FailingPart | undefined;
}

/** A directory of a device that does not do everything any more: of several that a process has, one may fail alone. */
export interface FailingPart {
  /** Everything at or below it. */
  readonly directory: string;
  readonly refuses: (kind: DiskOperation["kind"]) => boolean;
  readonly code: DiskErrorCode;
}

/** The disk of one machine: it outlives the processes that use it. */
export interface Device {
  readonly memory: MemoryDisk;
  readonly faults: DeviceFaults;
  /** The disk as a process has it. `hangMs`: what takes longer fails with HUNG. */
  openFor(process: SimProcess, options?: { readonly hangMs?: number }): Disk;
  /** Replaced by an empty one, once at least. */
  readonly wasLost: boolean;
  /** A bit has changed at rest, once at least. */
  readonly wasDamaged: boolean;
  /** Nothing was done to what it holds but what any disk may do with what is not flushed. */
  readonly isSound: boolean;
  /** How many operations it has failed, or let hang, so far. */
  readonly refusals: number;
  /** Whether a bit has changed in a file of this replica that is still there. `replica`: its directory's name. */
  hasDamage(replica: string): boolean;
  /** Changes a bit at rest in some log's segment. False where there is none. */
  damage(): boolean;
  /** The same in the last bytes of a replica's log. `replica`: its directory's name. */
  damageEndOf(replica: string): boolean;
  /** Harms a file at rest that only repeats what a log says: an index, or a snapshot. Returns its path. Undefined: none. */
  harmDerived(): string | undefined;
  /** An empty device takes its place. */
  lose(): void;
  /** Power fails: of what was not flushed some is kept, some lost, and some writes are torn between sectors. */
  losePower(): void;
}

/** Milliseconds: what an operation takes at least, and the mean of what comes on top. */
const durations = { sync: [0.3, 1.2], other: [0.02, 0.05] } as const;

export function createDevice(random: Random): Device {
  /** Files that were written to, those of the two kinds below among them. */
  const written = new Set<string>();
  const segments = new Set<string>();
  const derived = new Set<string>();
  /** Files in which a bit has changed, as long as they are what they were then. */
  const damaged = new Set<string>();
  const memory = createMemoryDisk({
    onChange(change) {
      if (change.kind === "remove") forget(damaged, change.path);
      if (change.kind === "rename") forget(damaged, change.from);
      if (change.kind !== "write" || written.has(change.path)) return;
      written.add(change.path);
      if (change.path.endsWith(".log")) segments.add(change.path);
      if (/\.(?:index|timeindex|snapshot)$/.test(change.path)) derived.add(change.path);
    },
  });
  const faults: DeviceFaults = {
    failedSyncs: 0,
    stalledUntilMs: 0,
    capacity: Number.POSITIVE_INFINITY,
    failing: undefined,
  };
  let wasLost = false;
  let wasDamaged = false;
  let refusals = 0;
  const space = limitedSpace(memory, () => faults.capacity);
  const spread = ([least, mean]: readonly [number, number]) => least - Math.log(1 - random.next()) * mean;

  /** Only logs grow: whatever else is written into a file that is there replaces bytes that have their room. */
  const isInPlace = ({ kind, path }: DiskOperation) =>
    kind === "write" && !path.endsWith(".log") && (memory.peek(path)?.length ?? 0) > 0;
  const effectFor = (process: SimProcess, hangMs: number): ((operation: DiskOperation) => Effect) => {
    return (operation) => {
      if (operation.kind === "sync" && faults.failedSyncs > 0 && random.next() < faults.failedSyncs) {
        return { kind: "fail", code: "IO" };
      }
      const { failing } = faults;
      if (failing?.refuses(operation.kind) === true && isWithin(operation.path, failing.directory)) {
        return { kind: "fail", code: failing.code };
      }
      const full = faults.capacity === Number.POSITIVE_INFINITY ? undefined : space(operation);
      if (full !== undefined && !isInPlace(operation)) return full;
      const stalledMs = isFlush(operation) ? faults.stalledUntilMs - process.nowMs() : 0;
      if (stalledMs > hangMs) return { kind: "hang", ms: hangMs };
      const usualMs = spread(isFlush(operation) ? durations.sync : durations.other);
      return { kind: "delay", ms: Math.max(0, stalledMs) + usualMs };
    };
  };
  const planFor = (process: SimProcess, hangMs: number): FaultPlan => {
    const effectOf = effectFor(process, hangMs);
    return (operation) => {
      const effect = effectOf(operation);
      if (effect.kind !== "delay") refusals += 1;
      return effect;
    };
  };

  const flip = (path: string | undefined, byteOf: (length: number) => number): boolean => {
    const length = path === undefined ? 0 : (memory.peek(path)?.length ?? 0);
    if (path === undefined || length === 0) return false;
    memory.flipBit(path, { byte: byteOf(length), bit: below(random, 8) });
    wasDamaged = true;
    damaged.add(path);
    return true;
  };
  return {
    memory,
    faults,
    hasDamage: (replica) => [...damaged].some((path) => path.includes(`/${replica}/`)),
    get isSound() {
      return !wasLost && !wasDamaged;
    },
    get refusals() {
      return refusals;
    },
    get wasDamaged() {
      return wasDamaged;
    },
    damage: () => flip(pick(random, [...segments]), (length) => below(random, length)),
    damageEndOf(replica) {
      const own = [...segments].filter((path) => path.includes(`/${replica}/`) && memory.peek(path) !== undefined);
      return flip(own.toSorted().at(-1), (length) => length - 1 - below(random, Math.min(length, 8)));
    },
    harmDerived() {
      const path = pick(
        random,
        [...derived].filter((each) => memory.peek(each) !== undefined),
      );
      const bytes = path === undefined ? undefined : memory.peek(path);
      if (path === undefined || bytes === undefined) return undefined;
      const harms = [new Uint8Array(0), new Uint8Array(bytes.length), bytes.slice(0, below(random, bytes.length + 1))];
      memory.put(path, pick(random, harms) ?? bytes);
      return path;
    },
    get wasLost() {
      return wasLost;
    },
    lose() {
      wasLost = true;
      memory.lose();
    },
    openFor: (process, { hangMs = Number.POSITIVE_INFINITY } = {}) =>
      createFaultDisk(memory, {
        plan: planFor(process, hangMs),
        scheduler: {
          // A device tells of its end as a network does: it wakes whoever waits for input, and not on whole milliseconds.
          after: (delayMs, task) => process.arrive("input", delayMs, task),
          afterInput: (task) => process.runtime.scheduler.afterInput(task),
        },
      }),
    losePower: () => memory.powerCut(randomLoss(random)),
  };
}

/** What lay at a path, or below it, is not there any more. */
function forget(paths: Set<string>, gone: string): void {
  for (const path of paths) if (isWithin(path, gone)) paths.delete(path);
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function isFlush({ kind }: DiskOperation): boolean {
  return kind === "sync" || kind === "syncDirectory";
}

/** Each unflushed operation has its own fate; of a torn write each sector has. */
function randomLoss(random: Random): PowerLoss {
  return ({ of }) => {
    const drawn = below(random, 3);
    if (drawn === 0) return { kind: "kept" };
    if (drawn === 1 || of === "directory") return { kind: "dropped" };
    return { kind: "torn", reached: () => random.next() < 0.5 };
  };
}
