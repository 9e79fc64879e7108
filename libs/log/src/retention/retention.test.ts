import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "../settings.ts";
import {
  at,
  batchAt,
  createTestLog,
  epoch,
  everything,
  logFile,
  rangesOf,
  type TestLogOptions,
  whileTimeGoes,
} from "../testing/fixture.ts";

const day = 24 * 60 * 60 * 1000;
const start = 1_700_000_000_000;

/** Ten batches of one record in segments of two, a day apart. */
async function tenDays(options: TestLogOptions = {}) {
  const size = batchAt(0, { value: "a value" }).length;
  const test = await createTestLog({ ...options, settings: { segmentBytes: 2 * size, ...options.settings } });
  for (let offset = 0; offset < 10; offset++) {
    await test.flush(batchAt(offset, { value: "a value", timestamp: start + offset * day, leaderEpoch: offset >> 2 }));
  }
  test.log.setHighWatermark(at(10));
  return { test, size };
}

const segmentsOf = async ({ disk }: Awaited<ReturnType<typeof tenDays>>["test"]) =>
  (await disk.list("/data/log"))
    .filter(({ name }) => name.endsWith(".log"))
    .map(({ name }) => Number(name.slice(0, 20)));

describe("retention", () => {
  it("by time deletes whole segments whose records are all too old", async () => {
    const { test } = await tenDays({ settings: { retentionMs: 3 * day } });
    await test.log.applyRetention(BigInt(start + 8 * day));
    expect(test.log.logStartOffset).toBe(at(4));
    expect(await segmentsOf(test)).toEqual([4, 6, 8]);
    expect(test.events).toContainEqual({ kind: "logStart", logStart: at(4) });
  });

  it("by time deletes even the active segment, and the log goes on where it was", async () => {
    const { test } = await tenDays({ settings: { retentionMs: day } });
    await test.log.applyRetention(BigInt(start + 100 * day));
    expect([test.log.logStartOffset, test.log.logEndOffset, test.log.sizeInBytes]).toEqual([at(10), at(10), 0]);
    await test.flush(batchAt(10, { leaderEpoch: 2 }));
    expect(rangesOf((await test.log.read(at(10), everything)).bytes)).toEqual(["10..11"]);
  });

  it("by size keeps the newest segments that hold enough", async () => {
    const { test, size } = await tenDays();
    test.log.configure({
      ...(await import("../settings.ts")).defaultLogSettings,
      retentionMs: -1,
      retentionBytes: 5 * size,
    });
    await test.log.applyRetention(BigInt(start));
    expect(await segmentsOf(test)).toEqual([4, 6, 8]);
  });

  it("never passes the high watermark (L7)", async () => {
    const { test } = await tenDays({ settings: { retentionMs: 0 } });
    const other = await createTestLog({ settings: { retentionMs: 0, segmentBytes: 200 } });
    for (let offset = 0; offset < 6; offset++) await other.flush(batchAt(offset));
    other.log.setHighWatermark(at(3));
    await other.log.applyRetention(BigInt(start + 100 * day));
    expect(other.log.logStartOffset <= at(3)).toBe(true);
    await expect(test.log.moveLogStart(at(11))).rejects.toMatchObject({ code: "OFFSET_OUT_OF_RANGE" });
  });

  it("is not kept up by segments that compaction emptied, and deletes what comes behind them", async () => {
    const size = batchAt(0, { key: "k", value: "v" }).length;
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const settings = { gaps: true, segmentBytes: 2 * size, retentionMs: day, compaction };
    const test = await createTestLog({ settings });
    for (const [offset, key] of Array.from("abccccccdefghi").entries()) {
      await test.flush(batchAt(offset, { key, value: "v", timestamp: start + offset }));
    }
    test.log.setHighWatermark(at(14));
    await test.log.compact(BigInt(start));
    const emptied = (await segmentsOf(test)).filter(
      (base) => test.disk.peek(`/data/log/${String(base).padStart(20, "0")}.log`)?.length === 0,
    );
    expect(emptied).toEqual([2, 4]);
    await test.log.applyRetention(BigInt(start + day + 10));
    expect([test.log.logStartOffset, await segmentsOf(test)]).toEqual([at(10), [10, 12]]);
  });

  it("begins no segment behind what is to be cut", async () => {
    const test = await createTestLog({ settings: { retentionMs: day } });
    await test.flush(batchAt(0, { timestamp: start }), batchAt(1, { timestamp: start }));
    test.log.setHighWatermark(at(2));
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path === logFile ? { kind: "delay", ms: 10 } : undefined,
    );
    test.log.append(batchAt(2, { timestamp: start }));
    // It waits for the write that is under way, during which somebody cuts.
    const retained = test.log.applyRetention(BigInt(start + 9 * day));
    await test.time.advance(5);
    const cut = test.log.truncateTo(at(1));
    await whileTimeGoes(test.time, Promise.all([retained, cut]));
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(1, { value: "another" }));
    expect(rangesOf((await test.log.read(at(0), everything)).bytes)).toEqual(["0..1", "1..2"]);
    await test.log.close();
    const log = await test.reopen();
    expect([log.status.kind, rangesOf((await log.read(at(0), everything)).bytes)]).toEqual([
      "online",
      ["0..1", "1..2"],
    ]);
  });

  it.each(["IO", "NO_SPACE"] as const)(
    "ends its directory where that cannot be flushed for a new segment: %s (L6)",
    async (code) => {
      const test = await createTestLog({ settings: { retentionMs: day } });
      await test.flush(batchAt(0, { timestamp: start }));
      test.log.setHighWatermark(at(1));
      test.faulty.plan(({ kind }) => (kind === "syncDirectory" ? { kind: "fail", code } : undefined));
      const retained = test.log.applyRetention(BigInt(start + 9 * day));
      await expect(retained).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
      expect(test.context.failure()).toBeDefined();
    },
  );

  it("deletes nothing where the topic does not delete", async () => {
    const { test } = await tenDays({ settings: { retentionMs: 0, deletes: false } });
    await test.log.applyRetention(BigInt(start + 100 * day));
    expect(test.log.logStartOffset).toBe(at(0));
  });
});

describe("deleting records", () => {
  it("moves the log start durably, also within a segment, and frees what lies whole below", async () => {
    const { test } = await tenDays();
    await test.log.moveLogStart(at(5));
    expect(await segmentsOf(test)).toEqual([4, 6, 8]);
    await expect(test.log.read(at(4), everything)).rejects.toMatchObject({ code: "OFFSET_OUT_OF_RANGE" });
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([at(5), at(10)]);
    expect(rangesOf((await log.read(at(5), everything)).bytes)).toEqual(["5..6"]);
  });

  it("ends its directory where the flush of that finds the disk full: a later one would not bring back what it lost (L6)", async () => {
    const { test } = await tenDays();
    test.faulty.plan(({ kind }) => (kind === "syncDirectory" ? { kind: "fail", code: "NO_SPACE" } : undefined));
    await expect(test.log.moveLogStart(at(5))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
  });

  it("says from when on a power cut cannot take the log start back", async () => {
    const { test } = await tenDays();
    test.faulty.plan(({ kind }) => (kind === "sync" ? { kind: "delay", ms: 100 } : undefined));
    const moved = test.log.moveLogStart(at(5));
    await test.time.advance(50);
    expect([test.log.logStartOffset, test.log.storedLogStart]).toEqual([at(5), at(0)]);
    await whileTimeGoes(test.time, moved);
    expect([test.log.logStartOffset, test.log.storedLogStart]).toEqual([at(5), at(5)]);
    test.faulty.plan(() => undefined);
    const log = await test.reopen();
    expect(log.storedLogStart).toBe(at(5));
  });

  it("forgets the leader epochs that ended below the log start", async () => {
    const { test } = await tenDays();
    await test.log.moveLogStart(at(5));
    expect(test.log.epochs).toEqual([
      { leaderEpoch: 1, startOffset: at(5) },
      { leaderEpoch: 2, startOffset: at(8) },
    ]);
    expect(test.log.endOffsetFor(epoch(0))).toEqual({ leaderEpoch: 0, endOffset: at(5) });
  });

  it("goes on beside an append that is being written", async () => {
    const { test } = await tenDays();
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.endsWith(".log") ? { kind: "delay", ms: 100 } : undefined,
    );
    test.log.append(batchAt(10, { leaderEpoch: 2 }));
    await test.log.moveLogStart(at(5));
    expect([test.log.logStartOffset, test.log.writtenOffset]).toEqual([at(5), at(10)]);
    await whileTimeGoes(test.time, test.log.flushed(at(11)));
    expect(rangesOf((await test.log.read(at(10), everything)).bytes)).toEqual(["10..11"]);
    expect(test.log.writtenOffset).toBe(at(11));
  });

  it("finishes at the next start what a crash interrupted", async () => {
    const { test } = await tenDays();
    test.faulty.plan(({ kind, path }) =>
      kind === "remove" && path.endsWith(".log") ? { kind: "hang", ms: 1e9 } : undefined,
    );
    const moving = test.log.moveLogStart(at(6));
    moving.catch(() => undefined);
    await test.time.advance(10);
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect(test.log.logStartOffset).toBe(at(6));
    expect(await segmentsOf(test)).toEqual([6, 8]);
  });

  it("finds no damage in what a power cut left of it, in whatever order files went", async () => {
    for (const gone of ["2", "4", "24", "02", "04"]) {
      const { test } = await tenDays();
      test.faulty.plan(({ kind, path }) =>
        kind === "syncDirectory" && path === "/data/log" ? { kind: "hang", ms: 1e9 } : undefined,
      );
      test.log.moveLogStart(at(6)).catch(() => undefined);
      await test.time.advance(10);
      // Of the segments 0, 2 and 4 those that are named are gone, with their indexes.
      test.disk.powerCut(({ of, operation }) => {
        const isKept =
          of === "file" || operation.kind !== "unlink" || gone.includes(String(Number(operation.name.slice(0, 20))));
        return { kind: isKept ? "kept" : "dropped" };
      });
      test.faulty.plan(() => undefined);
      await test.reopen();
      expect([gone, test.log.status.kind, test.log.logStartOffset]).toEqual([gone, "online", at(6)]);
      expect(await segmentsOf(test)).toEqual([6, 8]);
    }
  });

  it("finds that a segment is gone that is not whole below the log start", async () => {
    const { test } = await tenDays();
    await test.log.moveLogStart(at(3));
    await test.log.close();
    await test.disk.remove("/data/log/00000000000000000004.log");
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "brokenSequence", offset: at(4) } });
  });
});

describe("looking up by time", () => {
  it("finds the first record at or after a time, wherever it is", async () => {
    const { test } = await tenDays({ settings: { indexIntervalBytes: 0 } });
    for (let offset = 0; offset < 10; offset++) {
      const timestamp = BigInt(start + offset * day);
      const found = { offset: at(offset), timestamp };
      expect(await test.log.offsetForTimestamp(timestamp)).toEqual(found);
      expect(await test.log.offsetForTimestamp(timestamp - 1n)).toEqual(found);
    }
    expect(await test.log.offsetForTimestamp(BigInt(start + 10 * day))).toBeUndefined();
    await test.log.moveLogStart(at(5));
    expect(await test.log.offsetForTimestamp(0n)).toMatchObject({ offset: at(5) });
  });

  it("finds a record within a batch, and the first of those whose times fall", async () => {
    const test = await createTestLog();
    await test.flush(
      batchAt(0, { records: 5, timestamp: 100 }),
      batchAt(5, { timestamp: 50 }),
      batchAt(6, { timestamp: 200 }),
    );
    expect(await test.log.offsetForTimestamp(103n)).toEqual({ offset: at(3), timestamp: 103n });
    expect(await test.log.offsetForTimestamp(105n)).toEqual({ offset: at(6), timestamp: 200n });
  });
});
