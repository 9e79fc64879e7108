/** When the offsets of what was flushed are noted (L4). */
import { describe, expect, it } from "vitest";
import {
  appendUnflushed,
  at,
  batchAt,
  checkpointFile,
  createTestLog,
  logFile,
  type TestLog,
} from "../testing/fixture.ts";

/** The recovery point that a start finds now. */
async function notedNow(test: TestLog): Promise<bigint | undefined> {
  test.disk.kill();
  test.faulty.plan(() => undefined);
  await test.reopen();
  return test.starts.at(-1)?.unflushed.from;
}

/** The operations on the checkpoint from now on. */
function operationsOnNotes(test: TestLog): string[] {
  const seen: string[] = [];
  test.faulty.plan(({ kind, path }) => {
    if (path === checkpointFile) seen.push(kind);
    return undefined;
  });
  return seen;
}

describe("what was flushed", () => {
  it("is noted by a plain write as soon as nothing more comes", async () => {
    const test = await createTestLog();
    const operations = operationsOnNotes(test);
    await test.flush(batchAt(0));
    await test.time.advance(0);
    expect(operations.filter((kind) => kind === "sync")).toEqual([]);
    expect(await notedNow(test)).toBe(at(1));
  });

  it("is noted while the next flush is under way", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    await appendUnflushed(test, batchAt(1));
    expect(await notedNow(test)).toBe(at(1));
  });

  it("is noted when the next flush has begun, and not before what that flushes is written", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    // The writer goes idle; no time passes.
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    const operations: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      operations.push(`${kind} ${path === logFile ? "log" : "notes"}`);
      return kind === "write" && path === logFile ? { kind: "delay", ms: 5 } : undefined;
    });
    test.log.append(batchAt(1));
    await test.time.advance(5);
    expect(operations.slice(0, 3)).toEqual(["write log", "sync log", "write notes"]);
  });

  it("is noted once for each flush, however often the high watermark moves", async () => {
    const test = await createTestLog();
    const operations = operationsOnNotes(test);
    for (let offset = 0; offset < 5; offset++) {
      await test.flush(batchAt(offset));
      await test.time.advance(10);
      test.log.setHighWatermark(at(offset + 1));
      await test.time.advance(10);
    }
    expect(operations).toEqual(Array.from({ length: 5 }, () => "write"));
  });

  it("is noted durably within a second, also while appends go on", async () => {
    const test = await createTestLog();
    for (let offset = 0; offset < 12; offset++) {
      await test.flush(batchAt(offset));
      await test.time.advance(100);
    }
    test.disk.powerCut();
    expect(await notedNow(test)).toBeGreaterThanOrEqual(at(1));
  });
});

describe("a high watermark that moves alone", () => {
  it("is noted durably within a second", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    await test.time.advance(0);
    test.log.setHighWatermark(at(1));
    await test.time.advance(1000);
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.highWatermark).toBe(at(1));
  });

  it("is noted durably within a second also where it moves while what was noted before is flushed", async () => {
    const test = await createTestLog();
    const flushes: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      if (kind !== "sync" || path !== checkpointFile) return undefined;
      flushes.push(path);
      return { kind: "delay", ms: 5 };
    });
    await test.flush(batchAt(0));
    while (flushes.length === 0) await test.time.advance(1);
    test.log.setHighWatermark(at(1));
    await test.time.advance(1100);
    test.disk.powerCut();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect(test.log.highWatermark).toBe(at(1));
  });

  it("goes with the next note", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    await test.time.advance(0);
    test.log.setHighWatermark(at(1));
    await test.flush(batchAt(1));
    await test.time.advance(0);
    test.disk.kill();
    await test.reopen();
    expect(test.log.highWatermark).toBe(at(1));
  });
});

describe("a log that is closed", () => {
  it("notes nothing more, whatever high watermark comes late", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    await test.log.close();
    const operations = operationsOnNotes(test);
    test.log.setHighWatermark(at(1));
    await test.time.advance(5000);
    expect(operations).toEqual([]);
  });
});
