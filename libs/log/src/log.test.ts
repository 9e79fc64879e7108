import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "./settings.ts";
import { at, batchAt, contentOf, createTestLog, epoch, everything, rangesOf } from "./testing/fixture.ts";

describe("a log", () => {
  it("gives back what was appended, byte for byte, from any offset", async () => {
    const test = await createTestLog();
    const batches = [batchAt(0, { records: 3 }), batchAt(3), batchAt(4, { records: 2 })];
    await test.flush(...batches);
    expect(test.log.logEndOffset).toBe(at(6));
    const all = await test.log.read(at(0), everything);
    expect(Buffer.from(all.bytes).equals(Buffer.concat(batches))).toBe(true);
    expect(all.nextOffset).toBe(at(6));
    expect(rangesOf((await test.log.read(at(2), everything)).bytes)).toEqual(["0..3", "3..4", "4..6"]);
    expect(rangesOf((await test.log.read(at(5), everything)).bytes)).toEqual(["4..6"]);
    expect((await test.log.read(at(6), everything)).bytes).toHaveLength(0);
  });

  it("returns the first batch though it is larger than the limit, and no second one beyond it (L8)", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0, { value: "x".repeat(50_000) }), batchAt(1), batchAt(2));
    expect(rangesOf((await test.log.read(at(0), { maxBytes: 1 })).bytes)).toEqual(["0..1"]);
    const size = batchAt(1).length;
    expect(rangesOf((await test.log.read(at(1), { maxBytes: size })).bytes)).toEqual(["1..2"]);
    expect(rangesOf((await test.log.read(at(1), { maxBytes: 2 * size })).bytes)).toEqual(["1..2", "2..3"]);
  });

  it("returns nothing at or above the limit of offsets", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0, { records: 2 }), batchAt(2));
    expect(rangesOf((await test.log.read(at(0), { ...everything, upTo: at(2) })).bytes)).toEqual(["0..2"]);
    expect((await test.log.read(at(2), { ...everything, upTo: at(2) })).bytes).toHaveLength(0);
  });

  it("10: forgets an epoch without records that begins where it is cut, also over a restart", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0, { leaderEpoch: 3 }));
    test.log.beginEpoch(epoch(5));
    expect(await test.log.truncateTo(at(1))).toBe(at(1));
    expect(test.log.latestLeaderEpoch).toBe(3);
    await test.flush(batchAt(1, { leaderEpoch: 4 }));
    const log = await test.reopen();
    expect(log.latestLeaderEpoch).toBe(4);
    expect(log.endOffsetFor(epoch(3))).toEqual({ leaderEpoch: 3, endOffset: at(1) });
  });

  it("refuses to read below its start and above its end", async () => {
    const test = await createTestLog({ startOffset: at(10) });
    await test.flush(batchAt(10));
    await expect(test.log.read(at(9), everything)).rejects.toMatchObject({ code: "OFFSET_OUT_OF_RANGE" });
    await expect(test.log.read(at(12), everything)).rejects.toMatchObject({ code: "OFFSET_OUT_OF_RANGE" });
  });

  it.each([
    ["an offset that leaves a gap", () => batchAt(2)],
    ["an offset that goes back", () => batchAt(0)],
    ["a leader epoch that goes back", () => batchAt(1, { leaderEpoch: 3 })],
    ["half a batch", () => batchAt(1, { leaderEpoch: 4 }).subarray(0, 70)],
    ["nothing", () => new Uint8Array()],
  ])("refuses to append %s, and appends nothing", async (_, bytes) => {
    const test = await createTestLog();
    await test.flush(batchAt(0, { leaderEpoch: 4 }));
    expect(() => test.log.append(bytes())).toThrow(expect.objectContaining({ code: "INVALID_APPEND" }));
    expect(test.log.logEndOffset).toBe(at(1));
  });

  it("takes what a compacted leader has, with gaps and never backwards, whatever the policy is now", async () => {
    const test = await createTestLog();
    test.log.append(Buffer.concat([batchAt(2), batchAt(7)]), { gaps: true });
    await test.log.flushed(at(8));
    expect(() => test.log.append(batchAt(5), { gaps: true })).toThrow(
      expect.objectContaining({ code: "INVALID_APPEND" }),
    );
    await test.time.advance(2000);
    test.disk.powerCut();
    await test.reopen();
    expect([test.log.status.kind, await contentOf(test.log)]).toEqual(["online", ["2..3", "7..8"]]);
  });

  it("puts what comes during a flush into one write and one flush", async () => {
    const done: string[] = [];
    const test = await createTestLog();
    const size = batchAt(0).length;
    test.faulty.plan(({ kind, path, bytes }) => {
      if (path.endsWith(".log") && kind === "write") done.push(`write ${bytes / size}`);
      if (path.endsWith(".log") && kind === "sync") done.push("sync");
      return undefined;
    });
    for (let offset = 0; offset < 5; offset++) test.log.append(batchAt(offset));
    await test.log.flushed(at(5));
    expect(done).toEqual(["write 1", "sync", "write 4", "sync"]);
  });

  it("puts all that comes in one turn into one write and one flush where it is told to begin behind the turn", async () => {
    const turns: (() => void)[] = [];
    const test = await createTestLog({ beginWriting: (write) => turns.push(write) });
    const flushes = () => test.events.filter(({ kind }) => kind === "flushed").length;
    for (let offset = 0; offset < 5; offset++) test.log.append(batchAt(offset));
    expect([turns.length, test.log.writtenOffset]).toEqual([1, at(0)]);
    turns[0]?.();
    await test.log.flushed(at(5));
    expect(flushes()).toBe(1);
    test.log.append(batchAt(5));
    turns[1]?.();
    await test.log.flushed(at(6));
    expect(flushes()).toBe(2);
  });

  it("rolls by size and reads across segments", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300, indexIntervalBytes: 0 } });
    for (let offset = 0; offset < 20; offset++) await test.flush(batchAt(offset));
    const names = (await test.disk.list("/data/log"))
      .map((entry) => entry.name)
      .filter((name) => name.endsWith(".log"));
    expect(names.length).toBeGreaterThan(5);
    for (let offset = 0; offset < 20; offset++) {
      const { bytes } = await test.log.read(at(offset), everything);
      expect(rangesOf(bytes)[0]).toBe(`${offset}..${offset + 1}`);
    }
  });

  it.each([
    ["its records' times are too far apart", { segmentMs: 1000 }],
    ["its index is full", { indexIntervalBytes: 1, indexBytes: 16 }],
  ])("rolls when %s (L3)", async (_, settings) => {
    const test = await createTestLog({ settings });
    for (let offset = 0; offset < 6; offset++)
      await test.flush(batchAt(offset, { timestamp: 1_000_000 + offset * 400 }));
    const names = (await test.disk.list("/data/log")).filter(({ name }) => name.endsWith(".log"));
    expect(names.map(({ name }) => Number(name.slice(0, 20)))).toEqual([0, 3]);
    expect(await contentOf(test.log)).toEqual([0, 1, 2, 3, 4, 5].map((offset) => `${offset}..${offset + 1}`));
  });

  it("writes a batch that is larger than a segment", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    await test.flush(batchAt(0), batchAt(1, { value: "x".repeat(1000) }), batchAt(2));
    expect(rangesOf((await test.log.read(at(1), everything)).bytes)).toEqual(["1..2"]);
    expect(rangesOf((await test.log.read(at(2), everything)).bytes)).toEqual(["2..3"]);
  });

  it("knows where each leader epoch ended, also one in which nothing was written", async () => {
    const test = await createTestLog();
    test.log.beginEpoch(epoch(1));
    await test.flush(batchAt(0, { leaderEpoch: 1, records: 5 }));
    test.log.beginEpoch(epoch(3));
    test.log.beginEpoch(epoch(4));
    await test.flush(batchAt(5, { leaderEpoch: 4 }));
    const end = (value: number) => test.log.endOffsetFor(epoch(value));
    expect(end(1)).toEqual({ leaderEpoch: 1, endOffset: at(5) });
    expect(end(2)).toEqual({ leaderEpoch: 1, endOffset: at(5) });
    expect(end(3)).toEqual({ leaderEpoch: 3, endOffset: at(5) });
    expect(end(4)).toEqual({ leaderEpoch: 4, endOffset: at(6) });
    expect(end(5)).toBeUndefined();
    await test.log.close();
    await test.reopen();
    expect(end(3)).toEqual({ leaderEpoch: 3, endOffset: at(5) });
  });

  it("is the same after a clean stop", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 10; offset++) await test.flush(batchAt(offset));
    test.log.setHighWatermark(at(7));
    await test.log.close();
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.logEndOffset, log.flushedOffset, log.highWatermark]).toEqual([at(10), at(10), at(7)]);
    expect(rangesOf((await log.read(at(8), everything)).bytes)[0]).toBe("8..9");
  });

  it("has everything that was appended before a clean stop, and takes nothing after it", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 9; offset++) test.log.append(batchAt(offset));
    const closing = test.log.close();
    expect(() => test.log.append(batchAt(9))).toThrow(expect.objectContaining({ code: "CLOSED" }));
    await closing;
    test.disk.powerCut();
    expect((await test.reopen()).flushedOffset).toBe(at(9));
  });

  it("has all that was flushed after a power cut, and may lack the rest", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0), batchAt(1));
    test.log.append(batchAt(2));
    test.disk.powerCut();
    const log = await test.reopen();
    expect(log.logEndOffset).toBe(at(2));
    expect(log.flushedOffset <= at(2)).toBe(true);
    await log.flushed(at(2));
  });

  it("has everything that was written after a kill, and flushes it before it counts", async () => {
    const test = await createTestLog({ settings: { flush: "async" } });
    await test.flush(batchAt(0), batchAt(1));
    test.disk.kill();
    const log = await test.reopen({ flush: "sync" });
    expect(log.logEndOffset).toBe(at(2));
    expect(log.flushedOffset).toBe(at(0));
    await log.flushed(at(2));
    test.disk.powerCut();
    expect((await test.reopen()).logEndOffset).toBe(at(2));
  });
});

describe("cutting a log", () => {
  it("removes what is at or above the cut, in memory and on disk", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 10; offset++) await test.flush(batchAt(offset, { leaderEpoch: offset >> 1 }));
    expect(await test.log.truncateTo(at(5))).toBe(at(5));
    expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(5), at(5)]);
    expect(test.log.latestLeaderEpoch).toBe(2);
    await test.flush(batchAt(5, { leaderEpoch: 9 }));
    test.disk.powerCut();
    const log = await test.reopen();
    expect(log.logEndOffset).toBe(at(6));
    expect(log.endOffsetFor(epoch(2))).toEqual({ leaderEpoch: 2, endOffset: at(5) });
  });

  it("ends with what was written where the cut lies in what was not, and leaves no gap for it", async () => {
    const test = await createTestLog();
    test.log.append(batchAt(0));
    test.log.append(batchAt(1, { records: 2 }));
    expect(await test.log.truncateTo(at(2))).toBe(at(1));
    expect([test.log.logEndOffset, await contentOf(test.log)]).toEqual([at(1), ["0..1"]]);
    await test.flush(batchAt(1));
    await test.log.close();
    await test.reopen();
    expect(await contentOf(test.log)).toEqual(["0..1", "1..2"]);
  });

  describe("that is cut where compaction left nothing", () => {
    const cutInGap = async () => {
      const test = await createTestLog({ settings: { gaps: true } });
      await test.flush(batchAt(0, { records: 3, leaderEpoch: 2 }), batchAt(10, { leaderEpoch: 2 }));
      expect(await test.log.truncateTo(at(7))).toBe(at(7));
      return test;
    };

    it("ends at the cut, now and after a restart", async () => {
      const test = await cutInGap();
      expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(7), at(7)]);
      expect(await contentOf(test.log)).toEqual(["0..3", "3..7"]);
      await test.time.advance(2000);
      test.disk.powerCut();
      await test.reopen();
      expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(7)]);
      expect(test.log.endOffsetFor(epoch(2))).toEqual({ leaderEpoch: epoch(2), endOffset: at(7) });
      await test.flush(batchAt(7, { leaderEpoch: 3 }));
      expect(await contentOf(test.log)).toEqual(["0..3", "3..7", "7..8"]);
    });

    it("lets a reader and a follower get to its end before anything is appended", async () => {
      const test = await cutInGap();
      const { bytes, nextOffset } = await test.log.read(at(5), everything);
      expect([rangesOf(bytes), nextOffset]).toEqual([["3..7"], at(7)]);
      const follower = await createTestLog();
      for (const from of [0, 3]) {
        follower.log.append((await test.log.read(at(from), { maxBytes: 1 })).bytes, { gaps: true });
      }
      await follower.log.flushed(at(7));
      expect([follower.log.logEndOffset, follower.log.epochs]).toEqual([at(7), test.log.epochs]);
    });

    it("ends where its last batch does when the disk is full, and goes on from there", async () => {
      const test = await createTestLog({ settings: { gaps: true } });
      await test.flush(batchAt(0, { records: 3 }), batchAt(10));
      test.faulty.plan(({ kind, bytes }) =>
        kind === "write" && bytes === 61 ? { kind: "short", bytes: 20, code: "NO_SPACE" } : undefined,
      );
      expect(await test.log.truncateTo(at(7))).toBe(at(3));
      await test.flush(batchAt(3));
      test.disk.powerCut();
      await test.reopen();
      expect([test.log.status.kind, await contentOf(test.log)]).toEqual(["online", ["0..3", "3..4"]]);
    });

    it("ends at the cut where a segment begins there, too", async () => {
      const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
      const segmentBytes = 2 * batchAt(0, { key: "a" }).length;
      const test = await createTestLog({ settings: { gaps: true, segmentBytes, compaction } });
      for (const [offset, key] of Array.from("abcbde").entries()) await test.flush(batchAt(offset, { key }));
      test.log.setHighWatermark(at(4));
      await test.log.compact(1_800_000_000_000n);
      expect(await contentOf(test.log)).toEqual(["0..1", "2..3", "3..4", "4..5", "5..6"]);
      expect(await test.log.truncateTo(at(2))).toBe(at(2));
      for (const cut of [() => undefined, () => test.disk.powerCut()]) {
        cut();
        await test.reopen();
        expect([await contentOf(test.log), test.log.logEndOffset]).toEqual([["0..1", "1..2"], at(2)]);
      }
      await test.flush(batchAt(2), batchAt(3));
      expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3", "3..4"]);
    });

    it("may begin where it is cut", async () => {
      const test = await createTestLog({ settings: { gaps: true } });
      await test.flush(batchAt(0, { records: 3 }), batchAt(10), batchAt(11));
      test.log.setHighWatermark(at(11));
      await test.log.moveLogStart(at(7));
      expect(await test.log.truncateTo(at(7))).toBe(at(7));
      await test.flush(batchAt(7));
      expect([test.log.logStartOffset, await contentOf(test.log)]).toEqual([at(7), ["7..8"]]);
    });
  });

  it("ends before the batch in which the cut lies", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0, { records: 3 }), batchAt(3, { records: 4 }));
    expect(await test.log.truncateTo(at(5))).toBe(at(3));
  });

  it("begins anew where it is told, above or below what it had", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 10; offset++) await test.flush(batchAt(offset));
    await test.log.startAnewAt(at(100));
    expect([test.log.logStartOffset, test.log.logEndOffset]).toEqual([at(100), at(100)]);
    await test.flush(batchAt(100));
    await test.log.startAnewAt(at(50));
    await test.flush(batchAt(50));
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([at(50), at(51)]);
  });
});
