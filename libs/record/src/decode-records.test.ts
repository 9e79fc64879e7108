import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type BatchHeader, readBatchHeader } from "./batch-header.ts";
import type { Codec, Decompressed } from "./codec.ts";
import { portableCrc32c as crc32c } from "./crc32c.ts";
import { decodeRecords } from "./decode-records.ts";
import { encodeBatch } from "./encode-batch.ts";
import type { ProducedRecord } from "./record.ts";
import { fromHex, kafkaVector, kafkaVectors, recordsOf, toHex } from "./testing/vectors.ts";

fc.configureGlobal({ seed: 1 });

const rules = { codecs: {}, maxDecompressedBytes: 10_000 };

function headerIn(bytes: Uint8Array, changes: Partial<BatchHeader> = {}): BatchHeader {
  const result = readBatchHeader(bytes);
  if (result.kind !== "ok") throw new Error(`Not a batch: ${result.kind}`);
  return { ...result.header, ...changes };
}

function decoded(bytes: Uint8Array, header = headerIn(bytes)) {
  const result = decodeRecords(bytes, header, rules);
  return result.kind === "ok" ? [...result.records] : result.reason;
}

/** A batch whose records are these bytes, whatever they are. */
function batchOf(records: string, changes: Partial<BatchHeader> = {}): [Uint8Array, BatchHeader] {
  const empty = fromHex(kafkaVector("an empty batch that compaction left").hex);
  const bytes = new Uint8Array([...empty, ...fromHex(records)]);
  return [bytes, { ...headerIn(empty), sizeInBytes: bytes.length, recordCount: 1, ...changes }];
}

const bytesOrNull = fc.option(fc.uint8Array({ maxLength: 100 }));
const anyRecord: fc.Arbitrary<ProducedRecord> = fc.record({
  timestamp: fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }),
  key: bytesOrNull,
  value: bytesOrNull,
  headers: fc.array(fc.record({ key: fc.uint8Array({ maxLength: 10 }), value: bytesOrNull }), { maxLength: 3 }),
});

describe("decoding records", () => {
  test.each(kafkaVectors.map((vector) => [vector.name, vector] as const))("reads what Kafka wrote: %s", (_, vector) => {
    expect(decoded(fromHex(vector.hex))).toEqual(recordsOf(vector));
  });

  test("gives back whatever was encoded", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 20 }), (records) => {
        const expected = records.map((record, index) => ({ ...record, offset: BigInt(index) }));
        expect(decoded(encodeBatch(records, { crc32c }))).toEqual(expected);
      }),
    );
  });

  test("gives back times whose difference does not fit 64 bits", () => {
    const times = [-1n, 2n ** 63n - 1n, 0n];
    const records = times.map((timestamp) => ({ timestamp, key: null, value: null, headers: [] }));
    expect(decoded(encodeBatch(records, { crc32c }))).toMatchObject(records);
  });

  it("hands out slices of the bytes it was given, and does so again when asked again", () => {
    const bytes = fromHex(kafkaVector("one record with key and value").hex);
    const result = decodeRecords(bytes, headerIn(bytes), rules);
    if (result.kind !== "ok") throw new Error(result.reason);
    const [first] = result.records;
    const [again] = result.records;
    expect(first?.value?.buffer).toBe(bytes.buffer);
    expect(again).toEqual(first);
  });

  it("keeps the offsets of what compaction left", () => {
    // Offset deltas 2 and 7 of a batch from 100 to 109.
    const batch = batchOf("0c 00 00 04 01 01 00  0c 00 00 0e 01 01 00", { recordCount: 2 });
    expect(decoded(...batch)).toMatchObject([{ offset: 102n }, { offset: 107n }]);
  });

  it("wraps a time beyond 64 bits, as Kafka does", () => {
    const batch = batchOf("0c 00 02 00 01 01 00", { baseTimestamp: 2n ** 63n - 1n });
    expect(decoded(...batch)).toMatchObject([{ timestamp: -(2n ** 63n) }]);
  });

  test.each([
    { says: "no record where one is due", records: "", reason: "truncated" },
    { says: "a record length that is cut", records: "80", reason: "truncated" },
    { says: "a record length below 0", records: "01 00 00 00 01 01 00", reason: "recordLength" },
    { says: "a record longer than the batch", records: "0e 00 00 00 01 01 00", reason: "recordLength" },
    { says: "a record and a key beyond the batch", records: "14 00 00 00 08", reason: "recordLength" },
    { says: "a record longer than its parts", records: "0e 00 00 00 01 01 00 00", reason: "recordLength" },
    { says: "a record shorter than its parts", records: "0a 00 00 00 01 01 00", reason: "truncated" },
    { says: "a record without a byte", records: "00", reason: "truncated" },
    {
      says: "a time delta of eleven bytes",
      records: "1e 00 80808080808080808080 00 00 01 01 00",
      reason: "malformedVarint",
    },
    { says: "a key length below -1", records: "0c 00 00 00 03 01 00", reason: "fieldLength" },
    { says: "a key beyond its record", records: "0c 00 00 00 06 01 00", reason: "fieldLength" },
    { says: "a key of 2^31-1 bytes", records: "14 00 00 00 feffffff0f 01 00", reason: "fieldLength" },
    { says: "a value length below -1", records: "0c 00 00 00 01 03 00", reason: "fieldLength" },
    {
      says: "a value beyond its record, within the batch",
      records: "0c 00 00 00 01 04 00 0c 00 00 00 01 01 00",
      reason: "fieldLength",
    },
    { says: "a header count below 0", records: "0c 00 00 00 01 01 01", reason: "headerCount" },
    { says: "more headers than bytes", records: "10 00 00 00 01 01 04 02 61", reason: "headerCount" },
    { says: "2^31-1 headers", records: "14 00 00 00 01 01 feffffff0f", reason: "headerCount" },
    { says: "a header without a key", records: "10 00 00 00 01 01 02 01 01", reason: "fieldLength" },
    { says: "a header key beyond its record", records: "10 00 00 00 01 01 02 04 01", reason: "fieldLength" },
    { says: "a header value length below -1", records: "10 00 00 00 01 01 02 00 03", reason: "fieldLength" },
    { says: "a header value that never comes", records: "10 00 00 00 01 01 02 02 61", reason: "truncated" },
    { says: "bytes behind the last record", records: "0c 00 00 00 01 01 00 00", reason: "trailingBytes" },
    { says: "an offset below the batch's first", records: "0c 00 00 01 01 01 00", reason: "offsetDeltas" },
    { says: "an offset beyond the batch's last", records: "0c 00 00 14 01 01 00", reason: "offsetDeltas" },
  ])("refuses $says", ({ records, reason }) => {
    expect(decoded(...batchOf(records))).toBe(reason);
  });

  it("refuses offsets that do not rise", () => {
    const records = "0c 00 00 02 01 01 00 0c 00 00 02 01 01 00";
    expect(decoded(...batchOf(records, { recordCount: 2 }))).toBe("offsetDeltas");
  });

  it("hands out nothing of a batch whose last record is damaged", () => {
    const bytes = fromHex(kafkaVector("null and empty keys and values").hex);
    bytes[bytes.length - 1] = 1;
    expect(decoded(bytes)).toBe("headerCount");
  });
});

describe("decoding a compressed batch", () => {
  const bytes = fromHex(kafkaVector("one record with key and value").hex);
  const header = headerIn(bytes, { codecId: 4 });

  function decodedBy(decompress: Codec["decompress"], maxDecompressedBytes = 10_000) {
    const codecs = { zstd: { name: "zstd", compress: (plain: Uint8Array) => plain, decompress } as const };
    return decodeRecords(bytes, header, { codecs, maxDecompressedBytes });
  }

  it("walks what the codec gives", () => {
    const result = decodedBy((packed) => ({ kind: "ok", bytes: packed }));
    expect(result.kind === "ok" && toHex([...result.records][0]?.value ?? new Uint8Array())).toBe("76616c7565");
  });

  test.each([
    ["a hundred times the compressed size", 1_000_000, (bytes.length - 61) * 100],
    ["the limit", 500, 500],
  ])("allows %s and no more", (_, limit, allowed) => {
    let asked = 0;
    const result = decodedBy((_bytes, maxBytes): Decompressed => {
      asked = maxBytes;
      return { kind: "tooLarge" };
    }, limit);
    expect(asked).toBe(allowed);
    expect(result).toEqual({ kind: "failed", reason: "decompressedTooLarge" });
  });

  it("tells damage from a codec that is not there", () => {
    expect(decodedBy(() => ({ kind: "corrupt" }))).toEqual({ kind: "failed", reason: "corruptCompression" });
    const unsupported = { kind: "failed", reason: "unsupportedCodec" };
    expect(decodeRecords(bytes, header, rules)).toEqual(unsupported);
    expect(decodeRecords(bytes, { ...header, codecId: 7 }, rules)).toEqual(unsupported);
  });
});

describe("hostile bytes", () => {
  const whole = fromHex(kafkaVectors.map(({ hex }) => hex).join(""));
  const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });

  test("never make reading or decoding throw, and slices never leave the bytes", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), fc.nat(whole.length), (changes, cut) => {
        const damaged = whole.slice(0, cut);
        for (const { at, byte } of changes) if (at < cut) damaged[at] = byte;
        for (let position = 0; position < cut; position++) {
          const result = readBatchHeader(damaged, position);
          if (result.kind !== "ok") continue;
          const batch = decodeRecords(damaged, result.header, rules);
          if (batch.kind !== "ok") continue;
          const count = [...batch.records].length;
          expect(count).toBe(result.header.recordCount);
          position += result.header.sizeInBytes - 1;
        }
      }),
      { numRuns: 300 },
    );
  });

  test("of records alone never make decoding throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(10), (records, recordCount) => {
        const [batch, header] = batchOf(toHex(records), { recordCount });
        const result = decoded(batch, header);
        expect(typeof result === "string" || result.length === recordCount).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
