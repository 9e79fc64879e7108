import {
  type BatchHeader,
  type Codec,
  portableCrc32c as crc32c,
  decodeRecords,
  decompressedBytesMax,
  encodeBatch,
  readBatchHeader,
} from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { filterBatch } from "./filter-batch.ts";

/** Makes so many bytes of anything, and knows what they stand for. */
function codecTo(packedBytes: (plain: number) => number) {
  const known = new Map<number, Uint8Array>();
  const allowed: number[] = [];
  const codec: Codec = {
    name: "gzip",
    compress(bytes) {
      const packed = new Uint8Array(packedBytes(bytes.length));
      packed[0] = known.size;
      known.set(known.size, bytes.slice());
      return packed;
    },
    decompress(bytes, maxBytes) {
      allowed.push(maxBytes);
      const plain = known.get(bytes[0] ?? -1);
      if (plain === undefined) return { kind: "corrupt" };
      return plain.length > maxBytes ? { kind: "tooLarge" } : { kind: "ok", bytes: plain };
    },
  };
  return { codec, allowed };
}

const text = (value: string) => new TextEncoder().encode(value);
const batchWith = (codec: Codec, values: readonly string[]) => {
  const records = values.map((value) => ({ timestamp: 1n, key: text("k"), value: text(value), headers: [] }));
  return encodeBatch(records, { crc32c, codec });
};

function headerOf(bytes: Uint8Array): BatchHeader {
  const found = readBatchHeader(bytes);
  if (found.kind !== "ok") throw new Error(found.kind);
  return found.header;
}

describe("taking records out of a compressed batch", () => {
  it("never asks for more than a leader takes: a hundred times its bytes, and 64 MiB", () => {
    const { codec, allowed } = codecTo((plain) => plain >> 1);
    const small = batchWith(codec, ["x".repeat(1000)]);
    const large = batchWith(codec, ["x".repeat(2_000_000)]);
    const rules = { codecs: { gzip: codec }, crc32c, keep: () => true };
    for (const batch of [small, large]) expect(filterBatch(batch, headerOf(batch), rules).kind).toBe("whole");
    expect(allowed).toEqual([(small.length - 61) * 100, decompressedBytesMax]);
  });

  it("leaves one whole that has more than that", () => {
    const { codec } = codecTo((plain) => Math.ceil(plain / 100) + 1);
    const batch = batchWith(codec, ["x".repeat(1000), "y".repeat(1000)]);
    // It comes from nobody who kept to the rules: its records are cut to less than a hundredth.
    const bomb = batch.slice(0, 61 + 5);
    new DataView(bomb.buffer).setInt32(8, bomb.length - 12);
    const filtered = filterBatch(bomb, headerOf(bomb), { codecs: { gzip: codec }, crc32c, keep: () => false });
    expect(filtered.kind).toBe("undecodable");
  });

  it("writes plainly what is left where readers would refuse how much it grows", () => {
    const { codec } = codecTo((plain) => (plain > 5000 ? plain >> 1 : 10));
    const batch = batchWith(codec, ["x".repeat(8000), "y".repeat(3000)]);
    const filtered = filterBatch(batch, headerOf(batch), {
      codecs: { gzip: codec },
      crc32c,
      keep: ({ offset }) => offset === 1n,
    });
    if (filtered.kind !== "filtered") throw new Error(filtered.kind);
    const header = headerOf(filtered.bytes);
    const rules = { codecs: { gzip: codec }, maxDecompressedBytes: decompressedBytesMax };
    const decoded = decodeRecords(filtered.bytes, header, rules);
    expect(header.codecId).toBe(0);
    expect(decoded.kind === "ok" && [...decoded.records].map(({ offset, value }) => [offset, value?.length])).toEqual([
      [1n, 3000],
    ]);
  });
});
