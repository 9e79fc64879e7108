import { createFaultDisk, createMemoryDisk, type FaultPlan, type MemoryDisk } from "@tidemark/disk";
import { brokerEpoch } from "@tidemark/ids";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { Log } from "../log.ts";
import type { StartReport } from "../open-log.ts";
import { defaultLogSettings } from "../settings.ts";
import { optionsOn, other, replica } from "../testing/directories.ts";
import { batchAt } from "../testing/fixture.ts";
import { openLogDirectory } from "./log-directory.ts";

const stopFile = "/d/clean-stop";
const epoch = brokerEpoch(4);
const settings = { ...defaultLogSettings, flush: "async" } as const;

/** A directory with two logs of flush=async, so that much is left to a stop; and the faults of its disk. */
async function twoLogs(disk = createMemoryDisk()) {
  let plan: FaultPlan = () => undefined;
  const faulty = createFaultDisk(disk, {
    scheduler: createManualTime().scheduler,
    plan: (operation) => plan(operation),
  });
  const starts: StartReport[] = [];
  const logs: Log[] = [];
  const directory = await openLogDirectory({ ...optionsOn(disk), disk: faulty });
  for (const each of [replica, other]) {
    if (!directory.replicas().some(({ partition }) => partition === each.partition)) await directory.create(each);
    const onStart = (report: StartReport) => starts.push(report);
    const log = await directory.open(each, { settings, onEvent: () => undefined, onStart });
    log.append(batchAt(log.logEndOffset));
    await log.flushed(log.logEndOffset);
    logs.push(log);
  }
  return { disk, directory, logs, starts, fail: (next: FaultPlan) => (plan = next) };
}

const startAfter = async (disk: MemoryDisk) => {
  disk.powerCut();
  return twoLogs(disk);
};

describe("the stop file", () => {
  it("names the broker epoch, and comes after everything is flushed, whatever interrupts the stop (L10)", async () => {
    let steps = 0;
    let clean = 0;
    for (let isDone = false; !isDone; steps++) {
      const { disk, directory, fail } = await twoLogs();
      let left = steps;
      fail(() => (left-- > 0 ? undefined : { kind: "fail", code: "IO" }));
      isDone = await directory.close({ brokerEpoch: epoch }).then(
        () => disk.peek(stopFile) !== undefined,
        () => false,
      );
      const next = await startAfter(disk);
      if (next.directory.stoppedBy === undefined) continue;
      clean++;
      expect(next.directory.stoppedBy).toBe(epoch);
      for (const { unflushed, hadNotes } of next.starts) {
        expect([hadNotes, unflushed]).toEqual([true, { from: 1n, end: 1n }]);
      }
    }
    expect([steps > 10, clean > 0]).toEqual([true, true]);
  });

  it("is not written where a log could not be closed, nor where the directory has failed", async () => {
    const closed = async (plan: FaultPlan) => {
      const { disk, directory, fail } = await twoLogs();
      fail(plan);
      await directory.close({ brokerEpoch: epoch }).catch(() => undefined);
      return disk.peek(stopFile);
    };
    expect(await closed(() => undefined)).toBeDefined();
    expect(
      await closed(({ kind, path }) =>
        kind === "sync" && /-0\//.test(path) ? { kind: "fail", code: "IO" } : undefined,
      ),
    ).toBeUndefined();
  });

  it("is not written where the directory failed before, though every log lets itself be closed", async () => {
    const { disk, directory, logs, fail } = await twoLogs();
    const log = logs[0]!;
    log.configure(defaultLogSettings);
    fail(({ kind }) => (kind === "sync" ? { kind: "fail", code: "IO" } : undefined));
    log.append(batchAt(log.logEndOffset));
    await expect(log.flushed(log.logEndOffset)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    fail(() => undefined);
    await directory.close({ brokerEpoch: epoch });
    expect(disk.peek(stopFile)).toBeUndefined();
  });

  it("that finds no room lets go of the directory all the same: it may be opened again", async () => {
    const { disk, directory, fail } = await twoLogs();
    fail(({ kind, path }) =>
      kind === "write" && path.startsWith(stopFile) ? { kind: "short", bytes: 3, code: "NO_SPACE" } : undefined,
    );
    await expect(directory.close({ brokerEpoch: epoch })).rejects.toMatchObject({ code: "NO_SPACE" });
    const next = await openLogDirectory(optionsOn(disk));
    expect([next.stoppedBy, next.replicas()]).toEqual([undefined, [replica, other]]);
    await next.close();
  });

  it("is not written by a stop without a broker epoch: the broker never registered", async () => {
    const { disk, directory } = await twoLogs();
    await directory.close();
    expect(disk.peek(stopFile)).toBeUndefined();
  });

  it.each([
    ["empty", ""],
    ["torn", "broker.epoch=4\n"],
    ["of another epoch than its checksum", undefined],
    ["of random bytes", "\u0001\u0002="],
  ])("that is %s is no clean stop, and is gone after the start", async (_, text) => {
    const { disk, directory } = await twoLogs();
    await directory.close({ brokerEpoch: epoch });
    const whole = new TextDecoder().decode(disk.peek(stopFile));
    disk.put(stopFile, new TextEncoder().encode(text ?? whole.replace("=4", "=5")));
    const next = await twoLogs(disk);
    expect([next.directory.stoppedBy, disk.peek(stopFile)]).toEqual([undefined, undefined]);
  });

  it("in whose place a folder is makes no stop fail, and none clean; what is kept there stays", async () => {
    const disk = createMemoryDisk();
    await disk.makeDirectory(`${stopFile}/inner`);
    const { directory } = await twoLogs(disk);
    await directory.close({ brokerEpoch: epoch });
    const next = await twoLogs(disk);
    expect(next.directory.stoppedBy).toBeUndefined();
    expect((await disk.list(stopFile)).map(({ name }) => name)).toEqual(["inner"]);
  });

  it.each(["DENIED", "IO"] as const)(
    "that is not given back (%s) is no clean stop, and is gone after the start",
    async (code) => {
      const { disk, directory } = await twoLogs();
      await directory.close({ brokerEpoch: epoch });
      const faulty = createFaultDisk(disk, {
        scheduler: createManualTime().scheduler,
        plan: ({ kind, path }) => (kind === "open" && path === stopFile ? { kind: "fail", code } : undefined),
      });
      const next = await openLogDirectory({ ...optionsOn(disk), disk: faulty });
      expect([next.stoppedBy, disk.peek(stopFile)]).toEqual([undefined, undefined]);
    },
  );
});
