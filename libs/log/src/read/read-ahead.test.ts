import type { DiskOperation, Effect } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it, vi } from "vitest";
import { at, batchAt, createTestLog, rangesOf, type TestLog, type TestLogOptions } from "../testing/fixture.ts";
import { createReadAheadRoom, readAheadBytesDefault } from "./read-ahead.ts";

const size = batchAt(0, { value: "v" }).length;
/** Reads are of two batches. */
const limits = { maxBytes: 2 * size };

/** A log of so many batches of one record, and the reads of its file from then on. */
async function logOf(count: number, options: TestLogOptions = {}) {
  const test = await createTestLog({ settings: { indexIntervalBytes: 1 }, ...options });
  await test.flush(...Array.from({ length: count }, (_, offset) => batchAt(offset, { value: "v" })));
  const reads: string[] = [];
  test.faulty.plan((operation) => {
    if (isRead(operation)) reads.push(operation.path);
    return undefined;
  });
  return { test, reads };
}

/** How many use files of the log's pool from now on. */
function countUsers({ context: { files } }: TestLog): { readonly now: number } {
  const users = { now: 0 };
  const acquire = files.acquire.bind(files);
  vi.spyOn(files, "acquire").mockImplementation(async (path) => {
    const { file, release } = await acquire(path);
    users.now++;
    return {
      file,
      release: () => {
        users.now--;
        release();
      },
    };
  });
  return users;
}

const isRead = ({ kind, path }: DiskOperation) => kind === "read" && path.endsWith(".log");

async function readOn(test: TestLog, from: Offset, times: number): Promise<Offset> {
  let offset = from;
  for (let time = 0; time < times; time++) offset = (await test.log.read(offset, limits)).nextOffset;
  return offset;
}

describe("whoever reads a log from front to back", () => {
  it("has the next piece read while this one is checked", async () => {
    const { test, reads } = await logOf(20);
    expect(await readOn(test, at(0), 2)).toBe(at(4));
    // The second read began where the first had ended: the next pieces are on their way, in one read of the disk.
    expect(reads).toHaveLength(3);
    test.faulty.plan((operation) => (isRead(operation) ? { kind: "hang", ms: 1_000_000 } : undefined));
    expect(rangesOf((await test.log.read(at(4), limits)).bytes)).toEqual(["4..5", "5..6"]);
    expect(rangesOf((await test.log.read(at(6), limits)).bytes)).toEqual(["6..7", "7..8"]);
  });

  it("has each byte read once, also where a batch is larger than what is asked for", async () => {
    const test = await createTestLog({ settings: { indexIntervalBytes: 1 } });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { value: "x".repeat(500) }));
    const reads: string[] = [];
    test.faulty.plan((operation) => {
      if (isRead(operation)) reads.push(operation.path);
      return undefined;
    });
    let offset = at(0);
    while (offset < test.log.logEndOffset) offset = (await test.log.read(offset, { maxBytes: 10 })).nextOffset;
    // The first comes with the one behind it, since no read had ended there; then the second, and all that follows at once.
    expect(reads).toHaveLength(3);
  });

  it("gets all that is there at the end, though less was there when the piece before was read", async () => {
    const { test, reads } = await logOf(5);
    expect(await readOn(test, at(0), 2)).toBe(at(4));
    expect(reads).toHaveLength(2);
    await test.flush(batchAt(5, { value: "v" }));
    expect(rangesOf((await test.log.read(at(4), limits)).bytes)).toEqual(["4..5", "5..6"]);
  });

  it("gets more than was read ahead when more is asked for", async () => {
    const { test } = await logOf(20);
    await readOn(test, at(0), 2);
    const { bytes } = await test.log.read(at(4), { maxBytes: 5 * size });
    expect(rangesOf(bytes)).toEqual(["4..5", "5..6", "6..7", "7..8", "8..9"]);
    // What was read ahead for the other size is let go of.
    expect(test.context.readAhead.reserve(readAheadBytesDefault, () => undefined)).toBeDefined();
  });

  it("gets what follows where he ended, though what was read ahead goes on elsewhere", async () => {
    const { test } = await logOf(20);
    await readOn(test, at(0), 2);
    expect((await test.log.read(at(4), { ...limits, upTo: at(5) })).nextOffset).toBe(at(5));
    expect(rangesOf((await test.log.read(at(5), limits)).bytes)).toEqual(["5..6", "6..7"]);
  });

  it("has nothing read ahead that he may not have yet", async () => {
    const { test, reads } = await logOf(20);
    for (const offset of [0, 2]) await test.log.read(at(offset), { ...limits, upTo: at(4) });
    expect(reads).toHaveLength(2);
  });

  it("takes nothing from another who comes behind him", async () => {
    const { test } = await logOf(20);
    expect(await readOn(test, at(0), 3)).toBe(at(6));
    expect(await readOn(test, at(0), 3)).toBe(at(6));
    for (const offset of [2, 4, 6, 8]) {
      const found = [`${offset}..${offset + 1}`, `${offset + 1}..${offset + 2}`];
      expect(rangesOf((await test.log.read(at(offset), limits)).bytes)).toEqual(found);
    }
    await test.log.close();
    expect(test.context.readAhead.reserve(readAheadBytesDefault, () => undefined)).toBeDefined();
  });

  it("leaves out nothing where others read from the same place at the same time", async () => {
    const { test } = await logOf(20);
    const readToEnd = async () => {
      const found: string[] = [];
      for (let offset = at(0); offset < at(20); ) {
        const { bytes, nextOffset } = await test.log.read(offset, limits);
        found.push(...rangesOf(bytes));
        offset = nextOffset;
      }
      return found;
    };
    const all = Array.from({ length: 20 }, (_, offset) => `${offset}..${offset + 1}`);
    expect(await Promise.all([readToEnd(), readToEnd(), readToEnd()])).toEqual([all, all, all]);
    await test.log.close();
    expect(test.context.readAhead.reserve(readAheadBytesDefault, () => undefined)).toBeDefined();
  });

  it("gets from one segment into the next, and to the end", async () => {
    const test = await createTestLog({ settings: { indexIntervalBytes: 1, segmentBytes: 5 * size } });
    for (let offset = 0; offset < 18; offset++) await test.flush(batchAt(offset, { value: "v" }));
    const users = countUsers(test);
    expect(await readOn(test, at(0), 11)).toBe(at(18));
    // No file stays in use for it.
    await test.time.advance(0);
    expect(users.now).toBe(0);
  });

  it("has about a megabyte read at a time, and two ahead of him at most", async () => {
    const value = "x".repeat(200_000);
    const test = await createTestLog();
    for (let offset = 0; offset < 30; offset++) await test.flush(batchAt(offset, { value }));
    const reads: number[] = [];
    test.faulty.plan((operation) => {
      if (isRead(operation)) reads.push(operation.bytes);
      return undefined;
    });
    for (const offset of [0, 1]) await test.log.read(at(offset), { maxBytes: 250_000 });
    expect(Math.max(...reads)).toBeLessThan(1.1 * 2 ** 20);
    expect(reads.slice(2).reduce((sum, bytes) => sum + bytes)).toBeLessThan(2.2 * 2 ** 20);
  });

  it("never gets what was read ahead of a cut", async () => {
    const { test } = await logOf(20);
    await readOn(test, at(0), 2);
    await test.log.truncateTo(at(4));
    const anew = Array.from({ length: 10 }, (_, index) => batchAt(4 + index, { value: "w", leaderEpoch: 1 }));
    await test.flush(...anew);
    const { bytes } = await test.log.read(at(4), limits);
    expect(Buffer.from(bytes).equals(Buffer.concat(anew.slice(0, 2)))).toBe(true);
  });

  it("hears of a device that fails when he needs the bytes, not before, and only if it fails then", async () => {
    const { test } = await logOf(20);
    const failing: { effect: Effect | undefined } = { effect: undefined };
    test.faulty.plan((operation) => (isRead(operation) ? failing.effect : undefined));
    await readOn(test, at(0), 1);
    failing.effect = { kind: "fail", code: "IO" };
    // The read itself must go well, and the one ahead of it fail.
    let reads = 0;
    test.faulty.plan((operation) => (isRead(operation) && ++reads > 1 ? failing.effect : undefined));
    expect(await readOn(test, at(2), 1)).toBe(at(4));
    await test.time.advance(0);
    failing.effect = undefined;
    expect(rangesOf((await test.log.read(at(4), limits)).bytes)).toEqual(["4..5", "5..6"]);
    expect(test.log.status.kind).toBe("online");
    failing.effect = { kind: "fail", code: "IO" };
    await expect(readOn(test, at(6), 3)).rejects.toMatchObject({ code: "OFFLINE" });
  });

  it("finds damage in what was read ahead as in anything else", async () => {
    const { test } = await logOf(20);
    await test.log.read(at(0), limits);
    const path = "/data/log/00000000000000000000.log";
    const file = await test.disk.open(path);
    const flipped = await file.read(5 * size + 65, 1);
    await file.write(5 * size + 65, [flipped.map((byte) => byte ^ 1)]);
    await test.log.read(at(2), limits);
    await expect(test.log.read(at(4), limits)).rejects.toMatchObject({ code: "OFFLINE" });
  });

  it("does without where there is no room", async () => {
    const { test, reads } = await logOf(20, { readAheadBytes: size });
    expect(await readOn(test, at(0), 3)).toBe(at(6));
    expect(reads).toHaveLength(3);
  });
});

describe("the room for what is read ahead", () => {
  it("is never more than it is, and comes back when a log is closed", async () => {
    const { test, reads } = await logOf(6, { readAheadBytes: 2 * size });
    await readOn(test, at(0), 2);
    expect(reads).toHaveLength(3);
    // It was read, and waits for whoever asks for it.
    await test.time.advance(0);
    expect(test.context.readAhead.reserve(1, () => undefined)).toBeUndefined();
    await test.log.close();
    expect(test.context.readAhead.reserve(2 * size, () => undefined)).toBeDefined();
  });

  it("is taken from those who did not come back for a second, the oldest first", async () => {
    const time = createManualTime();
    const room = createReadAheadRoom(100, time.clock);
    const dropped: string[] = [];
    const hold = (name: string, bytes: number) => {
      const held = room.reserve(bytes, () => {
        dropped.push(name);
        held?.release();
      });
      return held;
    };
    hold("first", 40);
    await time.advance(600);
    hold("second", 40);
    expect(hold("too soon", 40)).toBeUndefined();
    await time.advance(600);
    expect(hold("third", 40)).toBeDefined();
    expect(dropped).toEqual(["first"]);
    await time.advance(5000);
    expect(hold("too much", 101)).toBeUndefined();
    expect(dropped).toEqual(["first"]);
  });

  it("comes back from what was taken: the next reader has his", async () => {
    const { test, reads } = await logOf(20, { readAheadBytes: 16 * size });
    for (let reader = 0; reader < 3; reader++) expect(await readOn(test, at(0), 10)).toBe(at(20));
    // Two pieces without anything ahead, and one read of all that follows: for each of them.
    expect(reads).toHaveLength(9);
  });

  it("comes back when a read that hung has ended, also where somebody waits for a piece of it", async () => {
    const { test } = await logOf(8, { readAheadBytes: 4 * size });
    await readOn(test, at(0), 1);
    let reads = 0;
    test.faulty.plan((operation) => (isRead(operation) && ++reads > 1 ? { kind: "hang", ms: 60_000 } : undefined));
    await readOn(test, at(2), 1);
    const waiting = test.log.read(at(4), limits);
    await test.time.advance(2000);
    expect(test.context.readAhead.reserve(1, () => undefined)).toBeUndefined();
    test.faulty.plan(() => undefined);
    await test.time.advance(60_000);
    expect(rangesOf((await waiting).bytes)).toEqual(["4..5", "5..6"]);
    await test.log.close();
    expect(test.context.readAhead.reserve(4 * size, () => undefined)).toBeDefined();
  });

  it("stays taken by a read that hangs, since its memory does", async () => {
    const { test } = await logOf(6, { readAheadBytes: 2 * size });
    await readOn(test, at(0), 1);
    let reads = 0;
    test.faulty.plan((operation) => (isRead(operation) && ++reads > 1 ? { kind: "hang", ms: 60_000 } : undefined));
    await readOn(test, at(2), 1);
    await test.time.advance(2000);
    expect(test.context.readAhead.reserve(1, () => undefined)).toBeUndefined();
    await test.time.advance(60_000);
    expect(test.context.readAhead.reserve(2 * size, () => undefined)).toBeDefined();
  });
});
