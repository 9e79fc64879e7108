/** A process that dies at any step of what a log directory does with replicas. */
import { createFaultDisk, type FaultPlan, type MemoryDisk } from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { Log } from "../log.ts";
import { newDisk, optionsOn, replica, settings } from "../testing/directories.ts";
import { at, batchAt } from "../testing/fixture.ts";
import { type LogDirectory, openLogDirectory } from "./log-directory.ts";

interface Killed {
  readonly disk: MemoryDisk;
  /** The directory as the next process finds it. */
  readonly next: LogDirectory;
}

/**
 * Runs `work` on a disk that does nothing more from one operation on, for each of its operations, and shows what the
 * next process finds. Returns how many operations there were.
 */
async function killAtEachStep(
  {
    prepare,
    work,
    end,
  }: {
    readonly prepare?: (directory: LogDirectory) => Promise<unknown>;
    readonly work: (directory: LogDirectory) => Promise<unknown>;
    readonly end: (disk: MemoryDisk) => void;
  },
  look: (found: Killed) => Promise<void>,
): Promise<number> {
  for (let steps = 0; ; steps++) {
    const disk = await newDisk();
    let left = Number.POSITIVE_INFINITY;
    const plan: FaultPlan = () => (left-- > 0 ? undefined : { kind: "fail", code: "IO" });
    const dying = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
    const directory = await openLogDirectory({ ...optionsOn(disk), disk: dying });
    await prepare?.(directory);
    left = steps;
    const isDone = await work(directory).then(
      () => true,
      () => false,
    );
    end(disk);
    await look({ disk, next: await openLogDirectory(optionsOn(disk)) });
    if (isDone) return steps;
  }
}

const create = (directory: LogDirectory) => directory.create(replica);
const cutPower = (disk: MemoryDisk) => disk.powerCut();

describe("a directory whose process is killed at any step", () => {
  it("of the making of a replica is sound", async () => {
    const steps = await killAtEachStep({ work: create, end: (disk) => disk.kill() }, async ({ next }) => {
      for (const listed of next.replicas()) expect((await next.open(listed, settings)).status.kind).toBe("online");
      if (next.replicas().length === 0) await next.create(replica);
      expect(next.replicas()).toEqual([replica]);
    });
    expect(steps).toBeGreaterThan(10);
  });

  // What simulated seed 700991 found: the entry of its directory was covered by no fsync.
  it("of the making of a replica keeps what the next process flushes, also through a power cut", async () => {
    await killAtEachStep({ work: create, end: (disk) => disk.kill() }, async ({ disk, next }) => {
      if (next.replicas().length === 0) await next.create(replica);
      const log = await next.open(replica, settings);
      log.append(batchAt(0));
      await log.flushed(at(1));
      disk.powerCut();
      const after = await openLogDirectory(optionsOn(disk));
      const reopened = await after.open(replica, settings);
      expect([reopened.status, reopened.logEndOffset]).toEqual([{ kind: "online" }, at(1)]);
    });
  });

  it("of the next segment's making keeps what the next process flushes, also through a power cut", async () => {
    const small = { ...settings, settings: { ...settings.settings, segmentBytes: 100 } };
    let growing: Log | undefined;
    const prepare = async (directory: LogDirectory) => {
      await directory.create(replica);
      growing = await directory.open(replica, small);
      growing.append(batchAt(0));
      await growing.flushed(at(1));
    };
    const work = async () => {
      growing?.append(batchAt(1));
      await growing?.flushed(at(2));
    };
    await killAtEachStep({ prepare, work, end: (disk) => disk.kill() }, async ({ disk, next }) => {
      const log = await next.open(replica, small);
      if (log.logEndOffset === at(1)) log.append(batchAt(1));
      await log.flushed(at(2));
      disk.powerCut();
      const after = await openLogDirectory(optionsOn(disk));
      const reopened = await after.open(replica, small);
      expect([reopened.status, reopened.logEndOffset]).toEqual([{ kind: "online" }, at(2)]);
    });
  });

  it("of a removal is sound, and finishes it", async () => {
    const work = (directory: LogDirectory) => directory.remove(replica);
    const steps = await killAtEachStep({ prepare: create, work, end: cutPower }, async ({ disk, next }) => {
      for (const listed of next.replicas()) expect((await next.open(listed, settings)).status.kind).toBe("online");
      expect((await disk.list("/d")).filter(({ name }) => name.endsWith(".removed"))).toEqual([]);
    });
    expect(steps).toBeGreaterThan(3);
  });

  it("of setting a replica aside and taking it back loses nothing", async () => {
    const work = async (directory: LogDirectory) => {
      await directory.setAside(replica);
      await directory.takeBack(replica);
    };
    const steps = await killAtEachStep({ prepare: create, work, end: cutPower }, async ({ next }) => {
      // It is listed or set aside: listed and not there, it would be damage.
      expect(next.aside().length + next.replicas().length).toBe(1);
      if (next.aside().length > 0) await next.takeBack(replica);
      expect(next.replicas()).toEqual([replica]);
      expect((await next.open(replica, settings)).status).toEqual({ kind: "online" });
    });
    expect(steps).toBeGreaterThan(5);
  });
});
