/** The failure cases of a log on one broker, by their numbers; those of indexes, checkpoints and segments stand beside these. */
import { dropAll, keepAll, sectorSize } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
import {
  appendUnflushed,
  at,
  batchAt,
  checkpointFile,
  contentOf,
  createTestLog,
  epoch,
  epochFile,
  everything,
  logFile,
  namesOf,
  openTestLog,
  settled,
  threeFlushed,
  whileTimeGoes,
} from "./testing/fixture.ts";

describe("case 1: a torn tail at a sector boundary", () => {
  it.each([0, 1, 2, 3, 4, 5])("is cut and kept aside when %i sectors of it reached the disk", async (sectors) => {
    const test = await threeFlushed();
    const flushedBytes = test.disk.peek(logFile)!.length;
    await appendUnflushed(test, batchAt(3, { value: "x".repeat(6 * sectorSize) }));
    const first = Math.floor(flushedBytes / sectorSize);
    test.disk.powerCut(({ path }) =>
      path === logFile ? { kind: "torn", reached: (sector) => sector < first + sectors } : { kind: "dropped" },
    );
    test.faulty.plan(() => undefined);
    const torn = test.disk.peek(logFile)!.subarray(flushedBytes);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(3)]);
    await test.flush(batchAt(3));
    expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3", "3..4"]);
    const kept = (await namesOf(test)).filter((name) => name.endsWith(".torn"));
    expect(kept.map((name) => test.disk.peek(`/data/log/${name}`))).toEqual(torn.length === 0 ? [] : [torn]);
  });
});

describe("case 2: a bit flips in the middle", () => {
  it("of what was flushed: a read takes the replica offline, and nothing is cut", async () => {
    const test = await threeFlushed();
    const size = test.disk.peek(logFile)!.length;
    test.disk.flipBit(logFile, { byte: batchAt(0).length + 70, bit: 3 });
    await expect(test.log.read(at(0), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    const told = test.events
      .filter((event) => event.kind === "offline")
      .map(({ damage }) => [damage.kind, damage.offset]);
    expect(told).toEqual([["corruptBatch", at(1)]]);
    expect(() => test.log.append(batchAt(3))).toThrow(expect.objectContaining({ code: "OFFLINE" }));
    await settled(test);
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch" } });
    expect(test.disk.peek(logFile)).toHaveLength(size);
  });

  it("of what a start reads below the recovery point: the replica is offline at once", async () => {
    const test = await threeFlushed();
    await test.log.close();
    test.disk.flipBit(logFile, { byte: 70, bit: 0 });
    for (const kind of ["index", "timeindex"]) await test.disk.remove(logFile.replace(/log$/, kind));
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch", offset: at(0) } });
  });

  it("of what was not flushed: the log ends before it", async () => {
    const test = await threeFlushed({ settings: { flush: "async" } });
    test.disk.flipBit(logFile, { byte: batchAt(0).length + 70, bit: 3 });
    test.disk.kill();
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(1)]);
  });
});

describe("case 3: an fsync fails once and the next one succeeds", () => {
  it("the directory has failed, and nothing since the last good flush is acknowledged (L6)", async () => {
    const test = await threeFlushed();
    let failed = false;
    test.faulty.plan(({ kind, path }) => {
      if (kind !== "sync" || path !== logFile || failed) return undefined;
      failed = true;
      return { kind: "fail", code: "IO" };
    });
    test.log.append(batchAt(3));
    await expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    expect(test.log.flushedOffset).toBe(at(3));
    expect(() => test.log.append(batchAt(4))).toThrow(expect.objectContaining({ code: "DIRECTORY_FAILED" }));
    expect(test.events.filter(({ kind }) => kind === "failed")).toHaveLength(1);
    // The page cache shows the batch as clean; a start does not take it for flushed.
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(4), at(3)]);
    await test.log.flushed(at(4));
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.logEndOffset).toBe(at(4));
  });

  it("a log of the failed directory keeps no file when it is closed", async () => {
    const test = await threeFlushed();
    const held: string[] = [];
    const { acquire } = test.context.files;
    test.context.files.acquire = async (path) => {
      const { file, release } = await acquire(path);
      held.push(path);
      return {
        file,
        release() {
          if (held.includes(path)) held.splice(held.indexOf(path), 1);
          release();
        },
      };
    };
    test.log.setHighWatermark(at(2));
    await test.flush(batchAt(3));
    await test.time.advance(0);
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === epochFile ? { kind: "fail", code: "IO" } : undefined,
    );
    await expect(test.flush(batchAt(4, { leaderEpoch: 1 }))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    await test.log.close();
    expect([held, test.time.pending()]).toEqual([[], 0]);
  });

  it("a flush that hangs counts as failed", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind }) => (kind === "sync" ? { kind: "hang", ms: 10_000 } : undefined));
    test.log.append(batchAt(3));
    const flushed = expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    await test.time.advance(10_000);
    await flushed;
  });
});

describe("case 4: the disk is full", () => {
  it.each([0, 1, 60, 100])(
    "an append of which %i bytes fit is refused, and leaves no half batch and no hole",
    async (bytes) => {
      const test = await threeFlushed();
      const size = test.disk.peek(logFile)!.length;
      let isFull = true;
      test.faulty.plan(({ kind, path }) =>
        kind === "write" && path === logFile && isFull ? { kind: "short", bytes, code: "NO_SPACE" } : undefined,
      );
      test.log.append(batchAt(3, { value: "x".repeat(100) }));
      test.log.append(batchAt(4));
      await expect(test.log.flushed(at(5))).rejects.toMatchObject({ code: "NO_SPACE" });
      expect(test.disk.peek(logFile)).toHaveLength(size);
      expect(test.log.logEndOffset).toBe(at(3));
      isFull = false;
      await test.flush(batchAt(3));
      expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3", "3..4"]);
    },
  );

  it("a roll without room refuses what does not fit, and works when there is room again", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    await test.flush(batchAt(0), batchAt(1));
    test.faulty.plan(({ kind }) => (kind === "create" ? { kind: "fail", code: "NO_SPACE" } : undefined));
    test.log.append(batchAt(2));
    test.log.append(batchAt(3));
    await expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "NO_SPACE" });
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(Number(test.log.logEndOffset)));
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.status.kind).toBe("online");
  });

  // What simulated seed 3010 found: the epoch was lost, or its directory taken out of service.
  it.each(["alone", "before a batch"])(
    "a leader epoch that finds no room %s is written when there is some",
    async (how) => {
      const test = await threeFlushed();
      const start = { leaderEpoch: epoch(5), startOffset: at(3) };
      test.faulty.plan(({ kind, path }) =>
        kind === "write" && path === epochFile ? { kind: "short", bytes: 3, code: "NO_SPACE" } : undefined,
      );
      test.log.beginEpoch(start.leaderEpoch);
      if (how === "alone") await settled(test);
      else {
        test.log.append(batchAt(3, { leaderEpoch: 5 }));
        await expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "NO_SPACE" });
      }
      expect(test.log.status.kind).toBe("online");
      test.faulty.plan(() => undefined);
      await test.flush(batchAt(3, { leaderEpoch: 7 }));
      test.disk.powerCut();
      await test.reopen();
      expect(test.log.epochs.slice(-2)).toEqual([start, { leaderEpoch: epoch(7), startOffset: at(3) }]);
    },
  );

  it("a checkpoint that finds no room is written when there is some, and the log goes on", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path === checkpointFile ? { kind: "short", bytes: 10, code: "NO_SPACE" } : undefined,
    );
    await test.flush(batchAt(3));
    await settled(test);
    test.log.setHighWatermark(at(4));
    await settled(test);
    await test.flush(batchAt(4));
    expect([test.log.status.kind, test.context.failure()]).toEqual(["online", undefined]);
    // What was noted before is still there.
    const before = await openTestLog(test.disk.fork(keepAll));
    expect([before.log.status.kind, before.log.flushedOffset, before.log.logEndOffset]).toEqual([
      "online",
      at(3),
      at(5),
    ]);
    test.faulty.plan(() => undefined);
    await settled(test);
    const after = await openTestLog(test.disk.fork(dropAll));
    expect([after.log.flushedOffset, after.log.highWatermark]).toEqual([at(5), at(4)]);
  });

  it("a checkpoint that finds no room refuses what needs a new segment", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path === checkpointFile ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await test.flush(batchAt(0), batchAt(1));
    await expect(test.flush(batchAt(2))).rejects.toMatchObject({ code: "NO_SPACE" });
    expect([test.log.logEndOffset, test.context.failure()]).toEqual([at(2), undefined]);
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(2));
    expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3"]);
  });

  it("a new replica has the room of its notes before it needs them", async () => {
    const test = await createTestLog();
    const size = test.disk.peek(checkpointFile)!.length;
    await test.flush(batchAt(0));
    await settled(test);
    await test.flush(batchAt(1));
    await settled(test);
    expect(test.disk.peek(checkpointFile)).toHaveLength(size);
  });

  it("a log whose notes find no room is closed, says so, and leaves no timer", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path === checkpointFile ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await test.flush(batchAt(3));
    await expect(test.log.close()).rejects.toMatchObject({ code: "NO_SPACE" });
    expect([test.log.status.kind, test.time.pending(), test.context.failure()]).toEqual(["closed", 0, undefined]);
  });

  it("a sync of the checkpoint that fails for want of space fails the directory all the same (L6)", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === checkpointFile ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await test.flush(batchAt(3));
    await settled(test);
    expect(test.context.failure()).toMatchObject({ code: "DIRECTORY_FAILED" });
  });
});

describe("no file handle is left", () => {
  it.each([0, 5])("an append is refused, and works when there are some (leader epoch %i)", async (leaderEpoch) => {
    const test = await threeFlushed();
    test.context.files.forgetBelow("/data/log");
    test.faulty.plan(({ kind }) =>
      kind === "open" || kind === "create" ? { kind: "fail", code: "NO_HANDLES" } : undefined,
    );
    await expect(test.flush(batchAt(3, { leaderEpoch }))).rejects.toMatchObject({ code: "NO_SPACE" });
    await settled(test);
    expect([test.log.logEndOffset, test.context.failure()]).toEqual([at(3), undefined]);
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(3, { leaderEpoch: 7 }));
    test.disk.powerCut();
    await test.reopen();
    expect([await contentOf(test.log), test.log.epochs]).toEqual([
      ["0..1", "1..2", "2..3", "3..4"],
      [
        { leaderEpoch: epoch(0), startOffset: at(0) },
        ...(leaderEpoch === 0 ? [] : [{ leaderEpoch: epoch(leaderEpoch), startOffset: at(3) }]),
        { leaderEpoch: epoch(7), startOffset: at(3) },
      ],
    ]);
  });
});

describe("case 6: a crash between the note and the flush, and the clean marker", () => {
  it("what was noted is never ahead of what was flushed", async () => {
    const test = await createTestLog();
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === logFile ? { kind: "delay", ms: 5000 } : undefined,
    );
    test.log.append(batchAt(0));
    await test.time.advance(4000);
    test.disk.powerCut(({ path }) => ({ kind: path === checkpointFile ? "kept" : "dropped" }));
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(0)]);
  });
});

describe("case 20f: a cut while a flush is out", () => {
  it("the flush counts for nothing above the cut (L9)", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === logFile ? { kind: "delay", ms: 100 } : undefined,
    );
    test.log.append(batchAt(3));
    const waiting = expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "CUTTING" });
    await test.time.advance(50);
    const cut = test.log.truncateTo(at(1));
    expect([test.log.flushedOffset, test.log.logEndOffset]).toEqual([at(1), at(1)]);
    expect(() => test.log.append(batchAt(1))).toThrow(expect.objectContaining({ code: "CUTTING" }));
    const from = test.events.length;
    expect(await whileTimeGoes(test.time, cut)).toBe(at(1));
    await waiting;
    const flushedAfter = test.events.slice(from).filter((event) => event.kind === "flushed");
    expect(flushedAfter.every((event) => event.upTo <= at(1))).toBe(true);
    test.disk.powerCut(keepAll);
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(1)]);
  });
});

describe("case 20k: a kill with an unflushed tail, then a power cut", () => {
  it("what counted as flushed after the restart survives", async () => {
    const test = await threeFlushed();
    await appendUnflushed(test, batchAt(3));
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(4), at(3)]);
    await test.log.flushed(at(4));
    test.disk.powerCut();
    await test.reopen();
    expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3", "3..4"]);
  });
});

describe("case 20l: a bad sector between the checkpointed and the true high watermark", () => {
  it("or in a checkpoint takes that replica offline, and no other", async () => {
    const test = await threeFlushed();
    test.disk.kill();
    test.faulty.plan(({ kind, path }) =>
      kind === "read" && path === checkpointFile ? { kind: "fail", code: "IO" } : undefined,
    );
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
    expect(test.context.failure()).toBeUndefined();
  });

  it("takes the replica offline, and no other, when its tail is written anew", async () => {
    const test = await threeFlushed();
    await appendUnflushed(test, batchAt(3));
    test.disk.kill();
    // The start reads it well, and the copy does not.
    let isRead = false;
    test.faulty.plan(({ kind, path }) => {
      if (kind === "create") isRead = true;
      return isRead && kind === "read" && path === logFile ? { kind: "fail", code: "IO" } : undefined;
    });
    await test.reopen();
    await expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "OFFLINE" });
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
    expect(test.context.failure()).toBeUndefined();
  });

  it("takes the replica offline, and no other, when it is cut or when its index is made anew", async () => {
    for (const touch of ["cut", "read"]) {
      const test = await createTestLog({ settings: { segmentBytes: 200 }, recentBytes: 0 });
      for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset));
      await test.log.close();
      for (const name of await namesOf(test)) if (name.endsWith("index")) await test.disk.remove(`/data/log/${name}`);
      await test.reopen();
      test.faulty.plan(({ kind, path }) =>
        kind === "read" && path === logFile ? { kind: "fail", code: "IO" } : undefined,
      );
      const work = touch === "cut" ? test.log.truncateTo(at(1)) : test.log.read(at(0), everything);
      await expect(work).rejects.toMatchObject({ code: "OFFLINE" });
      expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
      expect(test.context.failure()).toBeUndefined();
    }
  });

  it("takes the replica offline, at a read and at a start", async () => {
    const test = await threeFlushed();
    test.log.setHighWatermark(at(1));
    await settled(test);
    test.log.setHighWatermark(at(3));
    test.disk.kill();
    test.faulty.plan(({ kind, path }) =>
      kind === "read" && path === logFile ? { kind: "fail", code: "IO" } : undefined,
    );
    await test.reopen();
    const read = test.log.read(at(1), everything);
    await expect(read).rejects.toMatchObject({ code: "OFFLINE" });
    await settled(test);
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
  });
});
