import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { lastOffsetOf, nextOffsetOf, readBatchHeader } from "./batch-header.ts";
import { portableCrc32c as crc32c } from "./crc32c.ts";
import { decodeRecords } from "./decode-records.ts";
import { encodeEmptyBatch } from "./empty-batch.ts";
import { hasValidCrc } from "./validate-batch.ts";

const range = (from: bigint, to: bigint) => ({
  baseOffset: from as Offset,
  nextOffset: to as Offset,
  leaderEpoch: 7 as LeaderEpoch,
});

describe("a batch without records", () => {
  it.each([
    [3n, 4n],
    [3n, 10n],
    [2n ** 60n, 2n ** 60n + 2n ** 31n],
  ])("stands for the offsets from %s to %s, and is sound", (from, to) => {
    const bytes = encodeEmptyBatch(range(from, to), crc32c);
    const found = readBatchHeader(bytes);
    if (found.kind !== "ok") throw new Error(found.kind);
    const { header } = found;
    expect(header).toMatchObject({ baseOffset: from, leaderEpoch: 7, recordCount: 0, codecId: 0, maxTimestamp: -1n });
    expect([lastOffsetOf(header), nextOffsetOf(header)]).toEqual([to - 1n, to]);
    expect([header.sizeInBytes, hasValidCrc(bytes, header, crc32c)]).toEqual([bytes.length, true]);
    const decoded = decodeRecords(bytes, header, { codecs: {}, maxDecompressedBytes: 0 });
    expect(decoded.kind === "ok" && [...decoded.records]).toEqual([]);
  });

  it.each([
    [3n, 3n],
    [4n, 3n],
    [0n, 2n ** 31n + 1n],
  ])("cannot go from %s to %s", (from, to) => {
    expect(() => encodeEmptyBatch(range(from, to), crc32c)).toThrow(RangeError);
  });
});
