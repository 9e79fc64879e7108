import {
  type BatchHeader,
  codecIdOf,
  codecNames,
  decodeRecords,
  encodeBatch,
  hasValidCrc,
  type ProducedRecord,
  readBatchHeader,
  type StoredRecord,
} from "@tidemark/record";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { loadCodecs } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import vectors from "./kafka-vectors.json" with { type: "json" };

fc.configureGlobal({ seed: 1 });

const { codecs } = await loadCodecs();
const rules = { codecs, maxDecompressedBytes: 1024 * 1024 };

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

function headerIn(bytes: Uint8Array): BatchHeader {
  const result = readBatchHeader(bytes);
  if (result.kind !== "ok") throw new Error(result.kind);
  return result.header;
}

function decoded(bytes: Uint8Array): StoredRecord[] {
  const result = decodeRecords(bytes, headerIn(bytes), rules);
  if (result.kind !== "ok") throw new Error(result.reason);
  return [...result.records];
}

/** As the vectors write records down. */
function written({ offset, timestamp, key, value, headers }: StoredRecord) {
  const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
  return {
    offset: String(offset),
    timestamp: String(timestamp),
    key: hex(key),
    value: hex(value),
    headers: headers.map((header) => [hex(header.key), hex(header.value)]),
  };
}

/** Values of 2,000 repeated bytes and 60 that do not repeat: together more than one block of every framing. */
function severalBlocks(): Uint8Array[] {
  let state = 12345n;
  return Array.from({ length: 40 }, () =>
    Uint8Array.from({ length: 2060 }, (_, index) => {
      if (index < 2000) return 97 + (index % 23);
      state = (state * 1103515245n + 12345n) & 0x7fffffffn;
      return Number((state >> 16n) & 0xffn);
    }),
  );
}

const named = vectors.map((vector) => [vector.name, vector] as const);

/** Made by kafka-clients 4.3.1, which reads back what `header` and `records` say. */
describe("what Kafka compressed", () => {
  test.each(named)("has its codec and its CRC: %s", (_, { hex, header }) => {
    const bytes = fromHex(hex);
    expect(codecNames[headerIn(bytes).codecId]).toBe(header.codec);
    expect(hasValidCrc(bytes, headerIn(bytes), crc32c)).toBe(true);
  });

  test.each(named.filter(([name]) => name.startsWith("twelve records")))("is read: %s", (_, { hex, records }) => {
    expect(decoded(fromHex(hex)).map(written)).toEqual(records);
  });

  test.each(named.filter(([name]) => name.startsWith("several blocks")))("is read: %s", (_, { hex }) => {
    const values = decoded(fromHex(hex)).map(({ value }) => value);
    expect(values).toEqual(severalBlocks());
  });

  test("covers every codec twice", () => {
    expect(vectors.map(({ header }) => header.codec)).toEqual([
      "gzip",
      "snappy",
      "lz4",
      "zstd",
      "gzip",
      "snappy",
      "lz4",
      "zstd",
    ]);
  });
});

describe.each(["gzip", "snappy", "lz4", "zstd"] as const)("a batch compressed with %s", (name) => {
  const codec = codecs[name]!;
  const text = fc.string({ maxLength: 60 }).map((value) => new Uint8Array(Buffer.from(value)));
  const record: fc.Arbitrary<ProducedRecord> = fc.record({
    timestamp: fc.bigInt({ min: -1n, max: 2n ** 50n }),
    key: fc.option(text),
    value: fc.option(text),
    headers: fc.array(fc.record({ key: text, value: fc.option(text) }), { maxLength: 2 }),
  });

  it("gives back its records", () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 60 }), (records) => {
        const expected = records.map((each, index) => ({ ...each, offset: BigInt(index) }));
        expect(decoded(encodeBatch(records, { crc32c, codec }))).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it("is smaller, and says in its header how it was compressed", () => {
    const value = new TextEncoder().encode("the same text again and again ".repeat(3));
    const records = Array.from({ length: 50 }, () => ({ timestamp: 0n, key: null, value, headers: [] }));
    const bytes = encodeBatch(records, { crc32c, codec });
    expect(bytes.length).toBeLessThan(encodeBatch(records, { crc32c }).length / 2);
    expect(headerIn(bytes).codecId).toBe(codecIdOf(name));
  });

  it("is refused when it is larger than the limit", () => {
    const bytes = fromHex(vectors.find((vector) => vector.name === `several blocks, ${name}`)?.hex ?? "");
    const result = decodeRecords(bytes, headerIn(bytes), { codecs, maxDecompressedBytes: 80_000 });
    expect(result).toEqual({ kind: "failed", reason: "decompressedTooLarge" });
  });

  it("can always be read by us, however well it compresses", () => {
    const records = [{ timestamp: 0n, key: null, value: new Uint8Array(500_000), headers: [] }];
    expect(decoded(encodeBatch(records, { crc32c, codec }))).toHaveLength(1);
  });
});
