import { describe, expect, it, test } from "vitest";
import { lastOffsetOf, nextOffsetOf, readBatchHeader } from "./batch-header.ts";
import { viewOf } from "./layout.ts";
import { lastSequenceOf } from "./sequence.ts";
import { fromHex, headerOf, kafkaVector, kafkaVectors } from "./testing/vectors.ts";

const plain = fromHex(kafkaVector("one record with key and value").hex);

function changed(change: (view: DataView) => void): Uint8Array {
  const bytes = plain.slice();
  change(viewOf(bytes));
  return bytes;
}

describe("reading a header", () => {
  test.each(kafkaVectors.map((vector) => [vector.name, vector] as const))("agrees with Kafka: %s", (_, vector) => {
    const result = readBatchHeader(fromHex(vector.hex));
    expect(result).toMatchObject({ kind: "ok", header: headerOf(vector) });
    if (result.kind !== "ok") return;
    expect(lastOffsetOf(result.header)).toBe(BigInt(vector.header.lastOffset));
    expect(nextOffsetOf(result.header)).toBe(BigInt(vector.header.lastOffset) + 1n);
    expect(lastSequenceOf(result.header)).toBe(vector.header.lastSequence);
  });

  it("reads where it is told, also in a slice of a larger buffer", () => {
    const bytes = new Uint8Array(plain.length + 20);
    bytes.set(plain, 15);
    expect(readBatchHeader(bytes.subarray(5), 10)).toMatchObject({
      kind: "ok",
      header: { position: 10, sizeInBytes: plain.length },
    });
  });

  it("shows the delete horizon that a cleaner left", () => {
    const bytes = changed((view) => view.setUint16(21, 1 << 6));
    expect(readBatchHeader(bytes)).toMatchObject({ kind: "ok", header: { hasDeleteHorizon: true } });
  });

  test.each([
    { says: "nothing", length: 0, bytesNeeded: 61, header: undefined },
    { says: "one byte less than a header", length: 60, bytesNeeded: 61, header: undefined },
    {
      says: "the header alone",
      length: 61,
      bytesNeeded: 76,
      header: expect.objectContaining({ sizeInBytes: 76 }) as unknown,
    },
    {
      says: "one byte less than the batch",
      length: 75,
      bytesNeeded: 76,
      header: expect.objectContaining({ recordCount: 1 }) as unknown,
    },
  ])("says what is missing when there is $says", ({ length, bytesNeeded, header }) => {
    expect(readBatchHeader(plain.subarray(0, length))).toEqual({
      kind: "incomplete",
      position: 0,
      bytesNeeded,
      header,
    });
  });

  it("finds nothing beyond the end", () => {
    expect(readBatchHeader(plain, 1000)).toMatchObject({ kind: "incomplete", bytesNeeded: 61 });
  });

  test.each([
    { reason: "lengthBelowHeader", change: (view: DataView) => view.setInt32(8, 48) },
    { reason: "lengthBelowHeader", change: (view: DataView) => view.setInt32(8, -1) },
    { reason: "unknownMagic", change: (view: DataView) => view.setInt8(16, 1) },
    { reason: "negativeBaseOffset", change: (view: DataView) => view.setBigInt64(0, -1n) },
    { reason: "negativeLastOffsetDelta", change: (view: DataView) => view.setInt32(23, -1) },
    { reason: "offsetOverflow", change: (view: DataView) => view.setBigInt64(0, 2n ** 63n - 1n) },
    { reason: "leaderEpochBelowNone", change: (view: DataView) => view.setInt32(12, -2) },
    { reason: "negativeRecordCount", change: (view: DataView) => view.setInt32(57, -1) },
    { reason: "moreRecordsThanOffsets", change: (view: DataView) => view.setInt32(57, 2) },
    {
      reason: "moreRecordsThanBytes",
      change: (view: DataView) => {
        view.setInt32(23, 2);
        view.setInt32(57, 3);
      },
    },
  ])("calls it malformed: $reason", ({ reason, change }) => {
    expect(readBatchHeader(changed(change))).toEqual({ kind: "malformed", position: 0, reason });
  });

  it("takes the largest offset that still has a next one", () => {
    const bytes = changed((view) => view.setBigInt64(0, 2n ** 63n - 2n));
    expect(readBatchHeader(bytes)).toMatchObject({ kind: "ok", header: { baseOffset: 2n ** 63n - 2n } });
  });

  it("sees a bad length and a bad magic as soon as their bytes are there", () => {
    const bytes = changed((view) => view.setInt8(16, 0));
    expect(readBatchHeader(bytes.subarray(0, 16)).kind).toBe("incomplete");
    expect(readBatchHeader(bytes.subarray(0, 17))).toMatchObject({ kind: "malformed", reason: "unknownMagic" });
    const short = changed((view) => view.setInt32(8, 0));
    expect(readBatchHeader(short.subarray(0, 11)).kind).toBe("incomplete");
    expect(readBatchHeader(short.subarray(0, 12))).toMatchObject({ kind: "malformed", reason: "lengthBelowHeader" });
  });

  it("does not count the records of a compressed batch against its bytes", () => {
    const bytes = changed((view) => {
      view.setUint16(21, 4);
      view.setInt32(23, 999);
      view.setInt32(57, 1000);
    });
    expect(readBatchHeader(bytes)).toMatchObject({ kind: "ok", header: { recordCount: 1000 } });
  });
});
