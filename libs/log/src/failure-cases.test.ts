/** The failure cases of a log on one broker, by their numbers. */
import { keepAll, sectorSize } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "./settings.ts";
import {
  at,
  batchAt,
  contentOf,
  createTestLog,
  epoch,
  everything,
  rangesOf,
  type TestLog,
  type TestLogOptions,
  whileTimeGoes,
} from "./testing/fixture.ts";

const logFile = "/data/log/00000000000000000000.log";
const epochFile = "/data/log/leader-epoch-checkpoint";
const checkpointFile = "/data/log/offset-checkpoint";

const namesOf = async ({ disk }: TestLog) => (await disk.list("/data/log")).map(({ name }) => name);

/** A log with three flushed batches of one record. */
async function threeFlushed(options: TestLogOptions = {}) {
  const test = await createTestLog(options);
  await test.flush(batchAt(0), batchAt(1), batchAt(2));
  await settled(test);
  return test;
}

/** Lets the notes of what was flushed reach the disk. */
const settled = ({ time }: TestLog) => time.advance(2000);

describe("case 1: a torn tail at a sector boundary", () => {
  it.each([0, 1, 2, 3, 4, 5])("is cut and kept aside when %i sectors of it reached the disk", async (sectors) => {
    const test = await threeFlushed();
    const flushedBytes = test.disk.peek(logFile)!.length;
    test.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
    test.log.append(batchAt(3, { value: "x".repeat(6 * sectorSize) }));
    await test.time.advance(10);
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

  it("a checkpoint that cannot be written fails the directory rather than lie", async () => {
    const test = await threeFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path === checkpointFile ? { kind: "short", bytes: 10, code: "NO_SPACE" } : undefined,
    );
    test.log.append(batchAt(3));
    await settled(test);
    expect(test.events.some(({ kind }) => kind === "failed")).toBe(true);
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(4)]);
  });
});

describe("case 5: an index", () => {
  const batches = 60;
  const damage: Record<string, (bytes: Uint8Array) => Uint8Array | undefined> = {
    missing: () => undefined,
    empty: () => new Uint8Array(0),
    cut: (bytes) => bytes.subarray(0, bytes.length - 13),
    zeroed: (bytes) => new Uint8Array(bytes.length),
  };

  async function closedLog() {
    const test = await createTestLog({ settings: { segmentBytes: 2000, indexIntervalBytes: 100 } });
    for (let offset = 0; offset < batches; offset++) {
      await test.flush(batchAt(offset, { timestamp: 1000 * ((offset * 7) % batches) }));
    }
    await test.log.close();
    return test;
  }
  async function expectSound(test: TestLog) {
    for (let offset = 0; offset < batches; offset++) {
      expect(rangesOf((await test.log.read(at(offset), { maxBytes: 1 })).bytes)).toEqual([`${offset}..${offset + 1}`]);
      const timestamp = BigInt(1000 * offset);
      const first = Array.from({ length: batches }, (_, n) => n).find(
        (n) => BigInt(1000 * ((n * 7) % batches)) >= timestamp,
      );
      expect((await test.log.offsetForTimestamp(timestamp))?.offset).toBe(at(first!));
    }
  }

  it.each(Object.keys(damage))("that is %s is made anew, and a lookup equals a linear scan", async (kind) => {
    for (const ending of [".index", ".timeindex"]) {
      const test = await closedLog();
      for (const name of (await namesOf(test)).filter((entry) => entry.endsWith(ending))) {
        const path = `/data/log/${name}`;
        const damaged = damage[kind]!(test.disk.peek(path)!);
        if (damaged === undefined) await test.disk.remove(path);
        else test.disk.put(path, damaged);
      }
      await test.reopen();
      await expectSound(test);
    }
  });

  it("that cannot be written for want of space is done without: reads and appends go on", async () => {
    const test = await closedLog();
    for (const name of (await namesOf(test)).filter((entry) => entry.endsWith("index"))) {
      await test.disk.remove(`/data/log/${name}`);
    }
    test.faulty.plan(({ kind, path }) =>
      path.endsWith("index") && (kind === "create" || kind === "write")
        ? { kind: "fail", code: "NO_SPACE" }
        : undefined,
    );
    await test.reopen();
    await expectSound(test);
    await test.flush(batchAt(batches));
    await test.log.close();
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(batches + 1)]);
  });

  it("that is stale but plausible does not mislead", async () => {
    const test = await closedLog();
    const indexes = (await namesOf(test)).filter((name) => name.endsWith("index"));
    const other = await createTestLog({ settings: { segmentBytes: 2000, indexIntervalBytes: 100 } });
    for (let offset = 0; offset < batches; offset++) {
      await other.flush(batchAt(offset, { value: "x".repeat(1 + (offset % 5)), timestamp: 5 * offset }));
    }
    await other.log.close();
    for (const name of indexes) {
      const stale = other.disk.peek(`/data/log/${name}`);
      if (stale !== undefined) test.disk.put(`/data/log/${name}`, stale);
    }
    await test.reopen();
    await expectSound(test);
  });
});

describe("case 5: an index of another log", () => {
  it("that ends with the very same batch does not mislead", async () => {
    const sizes = [50, 300, 50, 300, 50, 300];
    const logOf = async (values: readonly number[]) => {
      const test = await createTestLog({ settings: { indexIntervalBytes: 1 } });
      for (const [batch, size] of values.entries()) {
        await test.flush(batchAt(2 * batch, { records: 2, value: "x".repeat(size) }));
      }
      await test.flush(batchAt(12));
      await test.log.close();
      return test;
    };
    const [test, other] = [await logOf(sizes), await logOf(sizes.toReversed())];
    for (const ending of ["index", "timeindex"]) {
      const path = logFile.replace(/log$/, ending);
      test.disk.put(path, other.disk.peek(path)!);
    }
    await test.reopen();
    for (const offset of [3, 5, 7, 9, 11]) {
      const { bytes } = await test.log.read(at(offset), { maxBytes: 1 });
      expect(rangesOf(bytes)).toEqual([`${offset - 1}..${offset + 1}`]);
    }
    expect(test.log.status.kind).toBe("online");
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

describe("case 8: checkpoints", () => {
  it("that are missing do not stop a start, and the log has everything", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset, { leaderEpoch: offset >> 1 }));
    const { epochs } = test.log;
    test.disk.kill();
    for (const name of ["offset-checkpoint", "leader-epoch-checkpoint"]) await test.disk.remove(`/data/log/${name}`);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(6)]);
    expect(test.log.epochs).toEqual(epochs);
    await test.log.flushed(at(6));
    // No crash takes both slots: it is not taken for granted that nothing else is missing.
    expect(test.starts.map(({ hadNotes, hadEpochs }) => [hadNotes, hadEpochs])).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  it("that are missing leave nothing on trust: what is damaged anywhere is found", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset));
    test.disk.kill();
    test.disk.flipBit(logFile, { byte: 70, bit: 0 });
    await test.disk.remove(checkpointFile);
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch", offset: at(0) } });
  });

  it("say what was not flushed and what was torn", async () => {
    const test = await threeFlushed({ settings: { flush: "async" } });
    test.disk.kill();
    test.disk.put(logFile, Buffer.concat([test.disk.peek(logFile)!, batchAt(3).subarray(0, 70)]));
    await test.reopen();
    expect(test.starts.at(-1)).toEqual({
      hadNotes: true,
      hadEpochs: true,
      unflushed: { from: at(0), end: at(3) },
      tornBytes: 70,
    });
  });

  it.each(["offset-checkpoint", "leader-epoch-checkpoint"])(
    "that are empty, cut or of random bytes do not either: %s",
    async (name) => {
      for (const bytes of [new Uint8Array(0), new Uint8Array(5000).fill(0x5a), new TextEncoder().encode("0 0 zz")]) {
        const test = await threeFlushed();
        test.disk.kill();
        test.disk.put(`/data/log/${name}`, bytes);
        await test.reopen();
        expect([test.log.status.kind, test.log.logEndOffset, test.log.latestLeaderEpoch]).toEqual(["online", at(3), 0]);
      }
    },
  );

  it("that are older than the log: it is read from there on", async () => {
    const test = await createTestLog();
    const old = test.disk.peek(checkpointFile)!;
    await test.flush(batchAt(0), batchAt(1));
    test.disk.kill();
    test.disk.put(checkpointFile, old);
    await test.reopen();
    expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(2), at(0)]);
    await test.log.flushed(at(2));
  });

  it("that are older than the log and than its index: the index is cut back to a whole batch", async () => {
    const test = await createTestLog({ settings: { indexIntervalBytes: 200 } });
    const write = async (from: number, to: number) => {
      for (let offset = from; offset < to; offset += 3) await test.flush(batchAt(offset, { records: 3 }));
      await settled(test);
    };
    await write(0, 30);
    const old = test.disk.peek(checkpointFile)!;
    await write(30, 60);
    await test.log.close();
    test.disk.put(checkpointFile, old);
    await test.reopen();
    expect([test.log.status.kind, test.log.flushedOffset, test.log.logEndOffset]).toEqual(["online", at(30), at(60)]);
    await test.log.flushed(at(60));
    expect(await contentOf(test.log)).toHaveLength(20);
  });

  it("that are newer than the log: it lost what was flushed, and the replica is offline", async () => {
    const test = await threeFlushed();
    test.disk.kill();
    test.disk.put(logFile, test.disk.peek(logFile)!.subarray(0, batchAt(0).length));
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog", offset: at(1) } });
    // That it is damaged stays known, whatever happens next (L10).
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog" } });
  });

  it("of the high watermark above the log's end are damage as well", async () => {
    const test = await threeFlushed();
    test.log.setHighWatermark(at(3));
    await test.log.close();
    test.disk.put(logFile, test.disk.peek(logFile)!.subarray(0, 2 * batchAt(0).length));
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog" } });
  });
});

describe("case 8: a segment", () => {
  const segmentAt = (base: number) => `/data/log/${String(base).padStart(20, "0")}.log`;
  async function severalSegments(options: TestLogOptions = {}) {
    const test = await createTestLog({ ...options, settings: { segmentBytes: 200, ...options.settings } });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: `k${offset}` }));
    test.log.setHighWatermark(at(8));
    await settled(test);
    return test;
  }

  it("that is gone from the middle is damage at the start, whatever stood before it", async () => {
    const test = await severalSegments();
    const bases = (await namesOf(test))
      .filter((name) => name.endsWith(".log"))
      .map((name) => Number(name.slice(0, 20)));
    expect(bases.length).toBeGreaterThan(3);
    for (const base of bases.slice(1, -1)) {
      const { disk } = test;
      const bytes = disk.peek(segmentAt(base))!;
      disk.kill();
      await disk.remove(segmentAt(base));
      await test.reopen();
      expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "brokenSequence", offset: at(base) } });
      await disk.remove("/data/log/damage");
      disk.put(segmentAt(base), bytes);
    }
    await test.reopen();
    expect(test.log.status.kind).toBe("online");
  });

  it("that is gone from the middle of a compacted log is damage as well", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const test = await severalSegments({ settings: { gaps: true, compaction } });
    for (let offset = 8; offset < 12; offset++) await test.flush(batchAt(offset, { key: "k1" }));
    test.log.setHighWatermark(at(12));
    await test.log.compact(1_800_000_000_000n);
    await test.log.close();
    const bases = (await namesOf(test)).filter((name) => name.endsWith(".log"));
    expect(bases.length).toBeGreaterThan(2);
    await test.disk.remove(`/data/log/${bases[1]!}`);
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "brokenSequence" } });
  });

  it("that goes while the log is open is damage when it is read", async () => {
    const test = await severalSegments();
    await test.log.close();
    await test.reopen();
    await test.disk.remove(segmentAt(0));
    // Whoever has it open still has it.
    test.context.files.forget(segmentAt(0));
    await expect(test.log.read(at(0), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "missing" } });
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
    test.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
    test.log.append(batchAt(3));
    await test.time.advance(10);
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
