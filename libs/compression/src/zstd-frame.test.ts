import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { zstdLibraries } from "./testing/zstd-libraries.ts";
import { readZstdFrame } from "./zstd-frame.ts";

fc.configureGlobal({ seed: 1 });

const limit = 1024 * 1024;
const codecs = zstdLibraries.map(([, codec]) => codec);
const bytesFrom = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));

/** Magic, no declared size, a window of 1 KiB, and a last block of three stored bytes. */
const small = "28b52ffd 00 00 190000 616263";

describe("a Zstandard frame", () => {
  it("is read as far as its sizes go, the same by both libraries", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 500 }),
      fc.nat(60_000).map((size) => new Uint8Array(size)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), fc.constantFrom(...codecs), (pieces, writer) => {
        const content = Buffer.concat(pieces);
        const compressed = writer.compress(content);
        const frame = readZstdFrame(compressed, limit);
        expect(frame.kind === "ok" && frame.sizeMax >= content.length).toBe(true);
        for (const reader of codecs) {
          const result = reader.decompress(compressed, limit);
          expect(result.kind === "ok" && Buffer.compare(result.bytes, content)).toBe(0);
        }
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ["without a declared size", small, 3],
    ["with a size of one byte, in one segment", "28b52ffd 20 03 190000 616263", 3],
    ["with a size of two bytes", "28b52ffd 40 08 0000 020800 00 030000 00", 256],
    ["with a size of four bytes", "28b52ffd 80 00 03000000 190000 616263", 3],
    ["with a size of eight bytes", "28b52ffd c0 00 0300000000000000 190000 616263", 3],
    ["with a repeated byte", "28b52ffd 00 00 1b0000 61", 3],
    ["with nothing in it", "28b52ffd 20 00 010000", 0],
  ])("is read %s", (_, hex, sizeMax) => {
    expect(readZstdFrame(bytesFrom(hex), limit)).toEqual({ kind: "ok", sizeMax });
    for (const codec of codecs) {
      const result = codec.decompress(bytesFrom(hex), limit);
      expect(result.kind === "ok" && result.bytes.length).toBe(sizeMax);
    }
  });

  test.each([
    ["another magic", "29b52ffd 00 00 190000 616263", "corrupt"],
    ["a skippable frame", "502a4d18 04000000 00000000", "corrupt"],
    ["a reserved bit", "28b52ffd 08 00 190000 616263", "corrupt"],
    ["a dictionary", "28b52ffd 01 00 07 190000 616263", "corrupt"],
    ["a dictionary whose id looks like a block", "28b52ffd 01 00 190000 616263", "corrupt"],
    ["half a header", "28b52ffd c0 00 0300000000", "corrupt"],
    ["no block", "28b52ffd 00 00", "corrupt"],
    ["half a block", "28b52ffd 00 00 190000 6162", "corrupt"],
    ["a block of the reserved type", "28b52ffd 00 00 1f0000 616263", "corrupt"],
    ["a block larger than the window", "28b52ffd 00 00 0a2000 61 010000", "corrupt"],
    ["no last block", "28b52ffd 00 00 180000 616263", "corrupt"],
    ["a checksum that never comes", "28b52ffd 04 00 190000 616263", "corrupt"],
    ["something behind its end", `${small} 00`, "corrupt"],
    ["a second frame", `${small} ${small}`, "corrupt"],
    ["more declared than its blocks can give", "28b52ffd c0 00 0400000000000000 190000 616263", "corrupt"],
    ["2^64-1 bytes declared", "28b52ffd c0 00 ffffffffffffffff 190000 616263", "corrupt"],
    ["a window beyond 8 MiB", "28b52ffd 00 69 190000 616263", "tooLarge"],
    ["a window of terabytes", "28b52ffd 00 ff 190000 616263", "tooLarge"],
  ])("is refused with %s", (_, hex, kind) => {
    expect(readZstdFrame(bytesFrom(hex), limit)).toEqual({ kind });
    for (const codec of codecs) expect(codec.decompress(bytesFrom(hex), limit)).toEqual({ kind });
  });

  it("may hold more than 8 MiB in one segment, which is its own window", () => {
    const block = "02001000"; // A zero, repeated 128 Ki times.
    const frame = bytesFrom(`28b52ffd a0 00009000 ${block.repeat(72)} 010000`);
    expect(readZstdFrame(frame, 16 * limit)).toEqual({ kind: "ok", sizeMax: 9 * limit });
    for (const codec of codecs) expect(codec.decompress(frame, 16 * limit).kind).toBe("ok");
  });

  it("may have a window of 8 MiB", () => {
    expect(readZstdFrame(bytesFrom("28b52ffd 00 68 190000 616263"), limit)).toEqual({ kind: "ok", sizeMax: 3 });
  });
});
