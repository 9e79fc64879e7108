import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { DiskError } from "../disk.ts";
import { toDiskError } from "./errors.ts";
import { createOperations } from "./operations.ts";
import { createWatchdog } from "./watchdog.ts";

type Done = (error: Error | null, value: string) => void;

/** Operations whose system calls end when the test says so. */
function underTest(limits = { syncs: 1, others: 2 }) {
  const time = createManualTime();
  const operations = createOperations(limits, createWatchdog(time, 1000));
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
  return { time, calls, outcomes, run };
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
});
