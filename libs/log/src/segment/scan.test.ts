import { portableCrc32c } from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { batchAt } from "../testing/fixture.ts";
import { scanBatches } from "./scan.ts";

const pieceBytes = 1000;

/** The bytes as a file that keeps what was asked of it. */
function fileOf(bytes: Uint8Array) {
  const reads: number[] = [];
  return {
    reads,
    async read(position: number, length: number) {
      reads.push(length);
      return bytes.subarray(position, position + length);
    },
  };
}

async function scan(bytes: Uint8Array) {
  const file = fileOf(bytes);
  const seen: bigint[] = [];
  const range = { from: 0, to: bytes.length, pieceBytes, crc32c: portableCrc32c };
  const result = await scanBatches(file, range, (header) => {
    seen.push(header.baseOffset);
    return undefined;
  });
  return { ...result, seen, reads: file.reads };
}

const large = 200 * pieceBytes;

describe("a scan", () => {
  it("reads a batch of many pieces at once, and goes on behind it", async () => {
    const bytes = Buffer.concat([batchAt(0), batchAt(1, { value: "x".repeat(large) }), batchAt(2)]);
    const { seen, stop, position, reads } = await scan(bytes);
    expect([seen, stop, position]).toEqual([[0n, 1n, 2n], { kind: "end" }, bytes.length]);
    expect(reads.length).toBeLessThan(6);
  });

  it("reads nothing more for a batch that claims to be larger than what is there", async () => {
    const torn = batchAt(1, { value: "x".repeat(large) });
    new DataView(torn.buffer, torn.byteOffset).setInt32(8, 2 ** 31 - 20);
    const first = batchAt(0);
    const { seen, stop, position, reads } = await scan(Buffer.concat([first, torn]));
    expect([seen, stop, position]).toEqual([[0n], { kind: "incomplete" }, first.length]);
    // The piece that it begins in, and the one that was already on its way.
    expect(reads).toEqual([pieceBytes, pieceBytes]);
  });
});
