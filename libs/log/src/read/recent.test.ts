import { type BatchHeader, iterateBatches } from "@tidemark/record";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, it, vi } from "vitest";
import { defaultCompactionSettings } from "../settings.ts";
import {
  at,
  batchAt,
  createTestLog,
  rangesOf,
  type TestLog,
  type TestLogOptions,
  whileTimeGoes,
} from "../testing/fixture.ts";

const size = batchAt(0, { value: "v" }).length;
const keep = { mayKeep: true };

/** A log of so many batches of one record that may be kept, appended in groups; and the reads of its file since then. */
async function logOf(groups: readonly number[], options: TestLogOptions = {}) {
  const test = await createTestLog(options);
  for (const count of groups) {
    const from = Number(test.log.logEndOffset);
    const batches = Array.from({ length: count }, (_, index) => batchAt(from + index, { value: "v" }));
    test.log.append(Buffer.concat(batches), keep);
    await test.log.flushed(test.log.logEndOffset);
  }
  const reads: string[] = [];
  test.faulty.plan(({ kind, path }) => {
    if (kind === "read" && path.endsWith(".log")) reads.push(path);
    return undefined;
  });
  return { test, reads };
}

const read = async ({ log }: TestLog, from: number, maxBytes = 1_000_000, upTo = log.logEndOffset) =>
  rangesOf((await log.read(at(from), { maxBytes, upTo })).bytes);

function headersOf(bytes: Uint8Array): BatchHeader[] {
  return [...iterateBatches(bytes)].flatMap((step) => (step.kind === "ok" ? [step.header] : []));
}

describe("what was written last", () => {
  it("is read without the disk, as the disk would give it", async () => {
    const groups = [3, 1, 4, 2];
    const { test, reads } = await logOf(groups);
    const { test: other } = await logOf(groups, { recentBytes: 0 });
    for (let offset = 0; offset < 10; offset++) {
      for (const maxBytes of [1, size, 2 * size, 5 * size - 1, 100 * size]) {
        for (const upTo of [at(4), at(9), at(10)]) {
          const limits = { maxBytes, upTo };
          const found = await test.log.read(at(offset), limits);
          const same = await other.log.read(at(offset), limits);
          expect([Buffer.compare(found.bytes, same.bytes), found.nextOffset]).toEqual([0, same.nextOffset]);
        }
      }
    }
    expect(reads).toEqual([]);
  });

  it("is read from the disk after a restart, and where nobody said that it may be kept", async () => {
    const { test, reads } = await logOf([4]);
    await test.log.close();
    await test.reopen();
    expect(await read(test, 2)).toEqual(["2..3", "3..4"]);
    expect(reads.length).toBeGreaterThan(0);
    await test.flush(batchAt(4, { value: "v" }));
    const before = reads.length;
    expect(await read(test, 4)).toEqual(["4..5"]);
    expect(reads.length).toBeGreaterThan(before);
  });

  it("has no gap where something between may not be kept", async () => {
    const { test } = await logOf([2]);
    await test.flush(batchAt(2, { value: "v" }));
    expect(await read(test, 2)).toEqual(["2..3"]);
    test.log.append(batchAt(3, { value: "v" }), keep);
    await test.log.flushed(at(4));
    expect(await read(test, 0)).toEqual(["0..1", "1..2", "2..3", "3..4"]);
    expect(await read(test, 3)).toEqual(["3..4"]);
  });

  it("skips no batch for a smaller one behind it", async () => {
    const { test } = await logOf([1]);
    test.log.append(Buffer.concat([batchAt(1, { value: "x".repeat(500) }), batchAt(2, { value: "v" })]), keep);
    test.log.append(batchAt(3, { value: "v" }), keep);
    await test.log.flushed(at(4));
    expect(await read(test, 0, 4 * size)).toEqual(["0..1"]);
    expect(await read(test, 1, 4 * size)).toEqual(["1..2"]);
  });

  it("skips none either that stands behind one which fits", async () => {
    const { test } = await logOf([]);
    test.log.append(Buffer.concat([batchAt(0, { value: "v" }), batchAt(1, { value: "x".repeat(500) })]), keep);
    test.log.append(batchAt(2, { value: "v" }), keep);
    await test.log.flushed(at(3));
    expect(await read(test, 0, 4 * size)).toEqual(["0..1"]);
  });

  it("is read on behind offsets that are missing, as compaction leaves them", async () => {
    const { test, reads } = await logOf([1], { settings: { gaps: true } });
    test.log.append(Buffer.concat([5, 6, 9].map((offset) => batchAt(offset, { value: "v" }))), keep);
    await test.log.flushed(at(10));
    expect(await read(test, 5, 2 * size)).toEqual(["5..6", "6..7"]);
    expect(await read(test, 7, 2 * size)).toEqual(["9..10"]);
    expect(reads).toEqual([]);
    expect(await read(test, 1, 2 * size)).toEqual(["5..6", "6..7"]);
  });

  it("is gone after a cut", async () => {
    const { test } = await logOf([6]);
    await test.log.truncateTo(at(3));
    const anew = batchAt(3, { value: "w", leaderEpoch: 1 });
    await test.flush(anew);
    const { bytes } = await test.log.read(at(3), { maxBytes: 1 });
    expect(Buffer.compare(bytes, anew)).toBe(0);
  });

  it("does not end before the log does where that is cut between two batches", async () => {
    const { test } = await logOf([], { settings: { gaps: true } });
    test.log.append(Buffer.concat([0, 1, 2, 10].map((offset) => batchAt(offset, { value: "v" }))), keep);
    await test.log.flushed(at(11));
    await test.log.truncateTo(at(7));
    expect(await read(test, 3)).toEqual(["3..7"]);
  });

  it("is not there before it was written, and never where the disk had no room for it", async () => {
    const { test } = await logOf([1]);
    test.faulty.plan(({ kind }) => (kind === "write" ? { kind: "short", bytes: 10, code: "NO_SPACE" } : undefined));
    test.log.append(batchAt(1, { value: "v" }), keep);
    expect(await read(test, 0)).toEqual(["0..1"]);
    await expect(test.log.flushed(at(2))).rejects.toMatchObject({ code: "NO_SPACE" });
    expect(await read(test, 0)).toEqual(["0..1"]);
  });

  it("is read as the disk has it once compaction went over it, whatever a read asks for", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const { test } = await logOf([], { settings: { gaps: true, segmentBytes: 300, compaction } });
    for (let offset = 0; offset < 12; offset += 2) {
      test.log.append(batchAt(offset, { records: 2, key: "k" }), keep);
      await test.log.flushed(test.log.logEndOffset);
    }
    test.log.setHighWatermark(at(12));
    await test.log.compact(1_800_000_000_000n);
    const whole = await test.log.read(at(0), { maxBytes: 1_000_000 });
    expect(whole.bytes.length).toBeLessThan(6 * batchAt(0, { records: 2, key: "k" }).length);
    for (const header of headersOf(whole.bytes)) {
      const one = await test.log.read(header.baseOffset, { maxBytes: 1 });
      expect(one.bytes.length).toBe(header.sizeInBytes);
    }
  });

  it("is read at once while compaction puts files in the place of others, which reads of the disk wait for", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const { test } = await logOf([], { settings: { gaps: true, segmentBytes: 200, compaction } });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: "k", value: "v" }));
    test.log.append(batchAt(8, { key: "k", value: "v" }), keep);
    await test.log.flushed(at(9));
    test.log.setHighWatermark(at(9));
    const renamed = createDeferred();
    const reads: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      if (kind === "read") reads.push(path);
      if (kind !== "rename" || !path.includes(".log.")) return undefined;
      reads.length = 0;
      renamed.resolve();
      return { kind: "delay", ms: 1000 };
    });
    const compacted = test.log.compact(1_800_000_000_000n);
    await renamed.promise;
    const order: string[] = [];
    const fromDisk = read(test, 0).then(([first]) => order.push(`disk ${first}`));
    expect(await read(test, 8)).toEqual(["8..9"]);
    expect(await read(test, 9)).toEqual([]);
    order.push("memory");
    await test.time.advance(10);
    expect(reads).toEqual([]);
    await whileTimeGoes(test.time, compacted);
    await fromDisk;
    expect(order).toEqual(["memory", "disk 0..1"]);
  });

  it("is let go of, the oldest first, when there is no more room", async () => {
    const held = new Uint8Array(Buffer.concat([batchAt(0, { value: "v" })])).buffer.byteLength;
    const { test, reads } = await logOf([], { recentBytes: 3 * held });
    for (let offset = 0; offset < 5; offset++) test.log.append(new Uint8Array(batchAt(offset, { value: "v" })), keep);
    await test.log.flushed(at(5));
    expect(await read(test, 2)).toEqual(["2..3", "3..4", "4..5"]);
    expect(reads).toEqual([]);
    expect(await read(test, 1)).toEqual(["1..2", "2..3", "3..4", "4..5"]);
    expect(reads.length).toBeGreaterThan(0);
  });

  it("gives its room back after a cut and when the log is closed", async () => {
    const batch = (offset: number) => new Uint8Array(batchAt(offset, { value: "v" }));
    const { test, reads } = await logOf([], { recentBytes: 3 * batch(0).length });
    const write = async () => {
      for (const offset of [0, 1, 2]) test.log.append(batch(offset), keep);
      await test.log.flushed(at(3));
    };
    await write();
    await test.log.truncateTo(at(0));
    reads.length = 0;
    await write();
    expect(await read(test, 0)).toEqual(["0..1", "1..2", "2..3"]);
    expect(reads).toEqual([]);
    const given = vi.spyOn(test.context.recentRoom, "remove");
    await test.log.close();
    expect(given).toHaveBeenCalledTimes(3);
  });

  it("counts for all of the memory that it holds, not for the part that was written", async () => {
    const { test, reads } = await logOf([], { recentBytes: 10 * size });
    const large = new Uint8Array(11 * size);
    large.set(batchAt(0, { value: "v" }));
    test.log.append(large.subarray(0, size), keep);
    await test.log.flushed(at(1));
    expect(await read(test, 0)).toEqual(["0..1"]);
    expect(reads).toHaveLength(1);
  });
});
