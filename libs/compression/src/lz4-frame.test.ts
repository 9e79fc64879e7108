import fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { describe, expect, it, test } from "vitest";
import { loadLz4 } from "./lz4.ts";
import { lz4FrameSize } from "./lz4-frame.ts";

fc.configureGlobal({ seed: 1 });

const limit = 10_000_000;
const lz4 = await loadLz4();

const text = Buffer.from("hello hello hello hello hello hello hello hello");
const frame = compressFrameSync(text);

function changed(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(frame);
  change(bytes);
  return bytes;
}

describe("the size of an LZ4 frame", () => {
  it("is what comes out of it", () => {
    const run = fc
      .tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(5000))
      .map(([bytes, count]) => [bytes, new Uint8Array(count)]);
    const options = fc.record({ contentChecksum: fc.boolean(), blockChecksums: fc.boolean() });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 60 }), options, (runs, checks) => {
        const content = Buffer.concat(runs.flat());
        const compressed = compressFrameSync(content, checks);
        expect(lz4FrameSize(compressed, limit)).toEqual({ kind: "ok", bytes: content.length });
        const result = lz4.decompress(compressed, limit);
        expect(result.kind === "ok" && Buffer.compare(result.bytes, content)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it("is found too when the frame declares it", () => {
    const declared = Buffer.concat([
      Buffer.from("04224d186840", "hex"),
      Buffer.alloc(8),
      Buffer.alloc(1),
      frame.subarray(7),
    ]);
    declared.writeBigUInt64LE(BigInt(text.length), 6);
    expect(lz4FrameSize(declared, limit)).toEqual({ kind: "ok", bytes: text.length });
  });

  test.each([
    ["blocks that depend on each other", changed((bytes) => (bytes[4] = 0x40))],
    ["a dictionary", changed((bytes) => (bytes[4] = 0x61))],
    ["a reserved flag", changed((bytes) => (bytes[4] = 0x62))],
    ["another version", changed((bytes) => (bytes[4] = 0xa0))],
    ["a block maximum that does not exist", changed((bytes) => (bytes[5] = 0x30))],
    ["reserved bits at the block maximum", changed((bytes) => (bytes[5] = 0x41))],
    ["the legacy magic", changed((bytes) => (bytes[0] = 0x02))],
    ["no end mark", frame.subarray(0, frame.length - 4)],
    ["a block that is cut", frame.subarray(0, frame.length - 8)],
    ["nothing but a header", frame.subarray(0, 7)],
    ["half a header", frame.subarray(0, 6)],
    ["something behind the end", Buffer.concat([frame, Buffer.alloc(1)])],
    ["a second frame", Buffer.concat([frame, frame])],
    ["a checksum that never comes", changed((bytes) => (bytes[4] = 0x64))],
    ["a block larger than the maximum", Buffer.concat([frame.subarray(0, 7), blockOf(65537), Buffer.alloc(4)])],
  ])("is refused with %s", (_, bytes) => {
    expect(lz4FrameSize(bytes, limit)).toEqual({ kind: "corrupt" });
  });
});

/** A stored block of this many bytes. */
function blockOf(length: number): Buffer {
  const block = Buffer.alloc(4 + length);
  block.writeUInt32LE(length + 0x8000_0000);
  return block;
}
