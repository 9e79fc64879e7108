import { describe, expect, it } from "vitest";
import { at, batchAt, createTestLog, everything, rangesOf, type TestLog } from "../testing/fixture.ts";

const logFile = "/data/log/00000000000000000000.log";

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
});
