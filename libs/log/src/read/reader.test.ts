import { keepAll } from "@tidemark/disk";
import { encodeEmptyBatch, portableCrc32c } from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { defaultLogSettings } from "../settings.ts";
import {
  appendUnflushed,
  at,
  batchAt,
  createTestLog,
  epoch,
  everything,
  logFile,
  rangesOf,
  type TestLog,
  whileTimeGoes,
} from "../testing/fixture.ts";

/** A log of batches of two records, of so many bytes about; and the bytes that are read of its file from then on, read by read. */
async function logOf(sizes: readonly number[]) {
  const test = await createTestLog({ settings: { indexIntervalBytes: 1000 } });
  for (const [batch, size] of sizes.entries()) {
    await test.flush(batchAt(2 * batch, { records: 2, value: "x".repeat(size / 2) }));
  }
  const reads: number[] = [];
  test.faulty.plan(({ kind, path, bytes }) => {
    if (kind === "read" && path === logFile) reads.push(bytes);
    return undefined;
  });
  return { test, reads };
}

/** The batch that is found for an offset. */
const found = async ({ log }: TestLog, offset: number) =>
  rangesOf((await log.read(at(offset), { maxBytes: 1 })).bytes).join();

describe("looking up an offset", () => {
  it.each([
    ["small", 10],
    ["as large as an entry's interval", 1000],
    ["much larger", 60_000],
  ])("takes one read where batches are %s", async (_, size) => {
    const { test, reads } = await logOf(Array.from({ length: 40 }, () => size));
    for (const batch of [0, 1, 20, 37, 39]) {
      for (const offset of [2 * batch, 2 * batch + 1]) {
        reads.length = 0;
        expect(await found(test, offset)).toBe(`${2 * batch}..${2 * batch + 2}`);
        expect(reads).toHaveLength(1);
      }
    }
  });

  it("reads no batch whole that lies before, where batches are very large", async () => {
    const { test, reads } = await logOf([200_000, 200_000, 200_000, 200_000]);
    expect(await found(test, 4)).toBe("4..6");
    expect(reads.reduce((sum, bytes) => sum + bytes)).toBeLessThan(220_000);
  });

  it("finds damage where a batch that is passed over claims to be larger than it is", async () => {
    for (const flipped of [0x10, 0x01]) {
      const { test } = await logOf([200_000, 200_000, 200_000, 200_000]);
      const file = await test.disk.open(logFile);
      const length = (await file.size()) / 4 + 9;
      await file.write(length, [(await file.read(length, 1)).map((byte) => byte ^ flipped)]);
      await expect(test.log.read(at(4), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    }
  });

  it.each([
    ["in the middle", 1_000_000],
    ["at the end of a segment", 1],
  ])(
    "finds damage where a compacted batch %s says that it ends before the offset which it has",
    async (_, segmentBytes) => {
      const test = await createTestLog({ settings: { gaps: true } });
      await test.flush(batchAt(0));
      const compacted = encodeEmptyBatch(
        { baseOffset: at(1), nextOffset: at(9), leaderEpoch: epoch(0) },
        portableCrc32c,
      );
      await test.flush(compacted);
      test.log.configure({ ...defaultLogSettings, gaps: true, segmentBytes });
      await test.flush(batchAt(9), batchAt(10));
      expect(rangesOf((await test.log.read(at(7), { maxBytes: 1 })).bytes)).toEqual(["1..9"]);
      const file = await test.disk.open(logFile);
      // The last offset relative to the first, 7.
      await file.write(batchAt(0).length + 26, [Uint8Array.of(3)]);
      await expect(test.log.read(at(7), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    },
  );

  it.each([0, 100, 5000])("finds damage where the file has become shorter than it was, to %i bytes", async (bytes) => {
    const { test } = await logOf([10, 1000, 10_000, 1000]);
    const file = await test.disk.open(logFile);
    await file.truncate(bytes);
    await expect(test.log.read(at(5), everything)).rejects.toMatchObject({ code: "OFFLINE" });
  });

  it("takes no gap for damage", async () => {
    const test = await createTestLog({ settings: { gaps: true } });
    await test.flush(batchAt(0), batchAt(5), batchAt(8));
    for (const [offset, found] of [
      [1, "5..6"],
      [7, "8..9"],
    ] as const) {
      expect(rangesOf((await test.log.read(at(offset), { maxBytes: 1 })).bytes)).toEqual([found]);
    }
  });

  it("finds damage where a batch says that it ends above what may be read", async () => {
    const { test } = await logOf([10, 10, 10]);
    const file = await test.disk.open(logFile);
    await file.write(23 + 2, [Uint8Array.of(7)]);
    const limits = { ...everything, upTo: at(4) };
    await expect(test.log.read(at(0), limits)).rejects.toMatchObject({ code: "OFFLINE" });
  });

  it("hands out nothing of what a cut is about to take, though it was written meanwhile", async () => {
    const { test } = await logOf([10, 10]);
    test.faulty.plan(({ kind }) => (kind === "write" || kind === "sync" ? { kind: "delay", ms: 100 } : undefined));
    test.log.append(batchAt(4));
    await test.time.advance(50);
    const cut = test.log.truncateTo(at(4));
    // The batch is in the file, and not yet flushed: the cut waits for that.
    await test.time.advance(70);
    expect((await test.log.read(at(4), { ...everything, upTo: at(5) })).bytes).toHaveLength(0);
    await whileTimeGoes(test.time, cut);
  });
});

describe("a read that finds damage", () => {
  it("beside another that finds it takes the replica offline once", async () => {
    const test = await createTestLog({ recentBytes: 0, readAheadBytes: 0 });
    await test.flush(batchAt(0), batchAt(1));
    test.disk.flipBit(logFile, { byte: 70, bit: 1 });
    test.faulty.plan(({ kind, path }) =>
      kind === "read" && path === logFile ? { kind: "delay", ms: 100 } : undefined,
    );
    const reads = Promise.allSettled([test.log.read(at(0), everything), test.log.read(at(0), everything)]);
    const settled = await whileTimeGoes(test.time, reads);
    expect(settled).toMatchObject([{ reason: { code: "OFFLINE" } }, { reason: { code: "OFFLINE" } }]);
    expect(test.events.filter(({ kind }) => kind === "offline")).toHaveLength(1);
  });
});

describe("a read beside a tail that is written anew", () => {
  it("takes nothing for damaged that is being moved, and finds it where it is then", async () => {
    const test = await createTestLog({ recentBytes: 0, readAheadBytes: 0 });
    await test.flush(batchAt(0));
    await test.time.advance(2000);
    await appendUnflushed(test, batchAt(1));
    test.disk.powerCut(keepAll);
    let isReading = false;
    test.faulty.plan(({ kind, path }) => {
      if (kind === "write" && path.endsWith(".log.aside")) return { kind: "delay", ms: 100 };
      if (kind === "sync" && path === logFile) return { kind: "delay", ms: 1000 };
      return isReading && kind === "read" && path === logFile ? { kind: "delay", ms: 200 } : undefined;
    });
    await test.reopen();
    await test.time.advance(10);
    isReading = true;
    const read = test.log.read(at(1), everything);
    expect(rangesOf((await whileTimeGoes(test.time, read)).bytes)).toEqual(["1..2"]);
    expect(test.log.status.kind).toBe("online");
  });
});

describe("a read that a cut comes into", () => {
  it("looks again: where its batch began, another begins now", async () => {
    const test = await createTestLog({ recentBytes: 0, readAheadBytes: 0 });
    const many = { records: 6, value: "v", leaderEpoch: 1 };
    const bytes = batchAt(1, many).length;
    const lengths = Array.from({ length: bytes }, (_, length) => length);
    const length = lengths.find((each) => batchAt(1, { value: "x".repeat(each) }).length === bytes);
    await test.flush(batchAt(0), batchAt(1, { value: "x".repeat(length!) }), batchAt(2), batchAt(3));
    let slow = 1;
    test.faulty.plan(({ kind, path }) =>
      kind === "read" && path === logFile && slow-- > 0 ? { kind: "delay", ms: 1000 } : undefined,
    );
    const read = test.log.read(at(2), { maxBytes: 1 });
    await test.time.advance(10);
    await test.log.truncateTo(at(1));
    await test.flush(batchAt(1, many), batchAt(7, { leaderEpoch: 1 }));
    expect(rangesOf((await whileTimeGoes(test.time, read)).bytes)).toEqual(["1..7"]);
  });
});
