import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { DiskError } from "../disk.ts";
import { toDiskError } from "./errors.ts";
import { createNodeDisk } from "./node-disk.ts";
import { createOperations } from "./operations.ts";
import { createWatchdog } from "./watchdog.ts";

type Done = (error: Error | null, value: string) => void;

/** Operations whose system calls end when the test says so. */
function underTest(limits = { syncs: 1, others: 2 }) {
  const time = createManualTime();
  let frozenMs = 0;
  const clock = { ...time.clock, monotonicMs: () => time.clock.monotonicMs() + frozenMs };
  const watchdog = createWatchdog({ clock, scheduler: time.scheduler }, 1000);
  const operations = createOperations(limits, watchdog);
  const calls: Done[] = [];
  const outcomes: string[] = [];
  const run = (kind: "sync" | "other", name: string) => {
    operations
      .run<string>(kind, name, "/f", (done) => calls.push(done))
      .then(
        (value) => outcomes.push(`${name}: ${value}`),
        (error: unknown) => outcomes.push(`${name}: ${error instanceof DiskError ? error.code : "?"}`),
      );
  };
  /** The process stands still for so long: the clock goes on, and no timer runs. */
  const freeze = (durationMs: number) => {
    frozenMs += durationMs;
  };
  return { time, calls, outcomes, run, freeze };
}

describe("system calls", () => {
  it("run so many at a time, syncs apart from the others, in the order of their coming", async () => {
    const { time, calls, outcomes, run } = underTest();
    for (const name of ["a", "b", "c"]) run("other", name);
    run("sync", "s");
    run("sync", "t");
    expect(calls).toHaveLength(3);
    calls[0]!(null, "done");
    expect(calls).toHaveLength(4);
    for (let call = 1; call < 5; call++) calls[call]!(null, "done");
    await time.advance(0);
    expect(outcomes.sort()).toEqual(["a: done", "b: done", "c: done", "s: done", "t: done"]);
  });

  it("that hang are told as HUNG and keep their place until they end", async () => {
    const { time, calls, outcomes, run } = underTest();
    run("sync", "s");
    run("sync", "t");
    await time.advance(999);
    expect(outcomes).toEqual([]);
    await time.advance(251);
    expect(outcomes).toEqual(["s: HUNG", "t: HUNG"]);
    expect(calls).toHaveLength(1);
    calls[0]!(null, "late");
    await time.advance(0);
    expect(calls).toHaveLength(2);
    expect(outcomes).toHaveLength(2);
  });

  it("that were under way while the process was frozen are told as HUNG only when they hang after that too", async () => {
    const { time, calls, outcomes, run, freeze } = underTest();
    run("other", "ends");
    run("other", "hangs");
    await time.advance(100);
    freeze(60_000);
    await time.advance(749);
    calls[0]!(null, "done");
    await time.advance(0);
    expect(outcomes).toEqual(["ends: done"]);
    await time.advance(400);
    expect(outcomes).toEqual(["ends: done", "hangs: HUNG"]);
  });

  it("leave no timer behind", async () => {
    const { time, calls, run } = underTest();
    run("other", "a");
    expect(time.pending()).toBe(1);
    calls[0]!(null, "done");
    await time.advance(0);
    expect(time.pending()).toBe(0);
  });
});

describe("errors of the system", () => {
  it.each([
    ["ENOSPC", "NO_SPACE"],
    ["EDQUOT", "NO_SPACE"],
    ["EFBIG", "NO_SPACE"],
    ["EROFS", "DENIED"],
    ["EACCES", "DENIED"],
    ["EMFILE", "NO_HANDLES"],
    ["ENOENT", "NOT_FOUND"],
    ["EEXIST", "EXISTS"],
    ["EISDIR", "NOT_FOUND"],
    ["EIO", "IO"],
    ["ESTALE", "IO"],
  ])("%s is %s", (system, code) => {
    const error = toDiskError(Object.assign(new Error(system), { code: system }), "write", "/f");
    expect([error.code, error.operation, error.path]).toEqual([code, "write", "/f"]);
  });

  it("tell the sync of a directory, after which nobody knows what is on disk, from that of a file", async () => {
    const disk = createNodeDisk({ runtime: createManualTime() });
    // Its file system syncs no directories.
    await expect(disk.syncDirectory("/proc")).rejects.toMatchObject({ operation: "syncDirectory", path: "/proc" });
    await expect(disk.syncDirectory("/proc/nowhere")).rejects.toMatchObject({ operation: "open", code: "NOT_FOUND" });
  });
});
