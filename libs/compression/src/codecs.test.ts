import { type Codec, type CodecName, codecNames, type Decompressed } from "@tidemark/record";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { chooseCodec, loadCodecs } from "./codecs.ts";
import { gzipBomb, lz4Bomb, zstdBomb } from "./testing/bombs.ts";
import { zstdLibraries } from "./testing/zstd-libraries.ts";

fc.configureGlobal({ seed: 1 });

const loaded = await loadCodecs();

/** Every codec that a process may meet, zstd by both of its libraries. */
const codecs = new Map<string, Codec>([
  ...codecNames.filter((name) => name !== "zstd").map((name) => [name, codecOf(name)] as const),
  ...zstdLibraries,
]);
const compressing = [...codecs].filter(([name]) => name !== "none");

function codecOf(name: CodecName): Codec {
  const choice = chooseCodec(loaded, name);
  if (choice.kind !== "ok") throw new Error(choice.kind);
  return choice.codec;
}

const limit = 1024 * 1024;

/** Something like records: repeating in part. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(3000).map((size) => new Uint8Array(size).fill(97)),
    ),
    { maxLength: 80 },
  )
  .map((pieces) => Uint8Array.from(Buffer.concat(pieces)));

function bytesOf(result: Decompressed): Uint8Array {
  if (result.kind !== "ok") throw new Error(result.kind);
  return result.bytes;
}

describe.each([...codecs])("%s", (_, codec) => {
  it("gives back what was compressed", () => {
    fc.assert(
      fc.property(content, (bytes) => {
        expect(Buffer.compare(bytesOf(codec.decompress(codec.compress(bytes), limit)), bytes)).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  test.each([1, 1000, 100_000, 300_000])("allows exactly %i bytes and not one more", (size) => {
    const compressed = codec.compress(Uint8Array.from({ length: size }, (__, index) => (index % 7) * (index % 50)));
    expect(bytesOf(codec.decompress(compressed, size)).length).toBe(size);
    expect(codec.decompress(compressed, size - 1)).toEqual({ kind: "tooLarge" });
  });

  it("hands out plain bytes, whose slices are copies", () => {
    const compressed = codec.compress(new Uint8Array(10));
    expect(Buffer.isBuffer(compressed)).toBe(false);
    expect(Buffer.isBuffer(bytesOf(codec.decompress(compressed, limit)))).toBe(false);
  });
});

describe.each(compressing)("%s", (_, codec) => {
  it("calls it corrupt when there is nothing, or nothing of its own", () => {
    for (const bytes of [new Uint8Array(), new Uint8Array(5), new Uint8Array(100).fill(0xff)]) {
      expect(codec.decompress(bytes, limit)).toEqual({ kind: "corrupt" });
    }
  });

  it("never throws on damaged bytes, and never gives more than it may", () => {
    const whole = codec.compress(Uint8Array.from({ length: 5000 }, (__, index) => (index % 7) * (index % 50)));
    const damage = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.array(damage, { maxLength: 4 }),
        fc.nat(whole.length),
        fc.integer({ min: 1, max: 6000 }),
        (places, cut, maxBytes) => {
          const damaged = whole.slice(0, cut);
          for (const { at, byte } of places) if (at < cut) damaged[at] = byte;
          const result = codec.decompress(damaged, maxBytes);
          if (result.kind === "ok") expect(result.bytes.length).toBeLessThanOrEqual(maxBytes);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("does not keep a large buffer for a small content", () => {
    const { buffer, length } = bytesOf(codec.decompress(codec.compress(new Uint8Array(300).fill(1)), limit));
    expect(buffer.byteLength).toBeLessThanOrEqual(2 * length);
  });
});

describe("a bomb", () => {
  test.each([
    ["gzip", codecOf("gzip"), gzipBomb] as const,
    ["lz4", codecOf("lz4"), lz4Bomb] as const,
    ...zstdLibraries.map(([name, codec]) => [name, codec, zstdBomb] as const),
  ])("of %s takes no memory beyond the limit", (_, codec, bomb) => {
    const bytes = bomb();
    const before = process.resourceUsage().maxRSS;
    expect(codec.decompress(bytes, limit)).toEqual({ kind: "tooLarge" });
    const grownKiB = process.resourceUsage().maxRSS - before;
    expect(grownKiB).toBeLessThan(64 * 1024);
  });
});

describe("the table of codecs", () => {
  it("has every codec here", () => {
    expect(Object.keys(loaded.codecs)).toEqual([...codecNames]);
    expect(loaded.failures.size).toBe(0);
  });

  it("goes without a codec whose library does not load, and says why", async () => {
    const found = (name: CodecName) => Promise.resolve(codecOf(name));
    const without = await loadCodecs({
      none: () => found("none"),
      gzip: () => found("gzip"),
      snappy: () => Promise.reject(new Error("no binary for this platform")),
      lz4: () => found("lz4"),
      zstd: () => found("zstd"),
    });
    const supported = ["none", "gzip", "lz4", "zstd"];
    const cause = new Error("no binary for this platform");
    expect(chooseCodec(without, "snappy")).toEqual({ kind: "unsupportedCodec", name: "snappy", supported, cause });
    expect(chooseCodec(without, "lz4")).toEqual({ kind: "ok", codec: codecOf("lz4") });
  });

  it("knows no other name", () => {
    const refused = chooseCodec(loaded, "brotli");
    expect(refused).toEqual({ kind: "unknownCodec", name: "brotli", supported: [...codecNames] });
  });
});
