import { randomBytes } from "node:crypto";
import { crc32c, loadCodecs } from "@tidemark/compression";
import { encodeBatch, stampBatch } from "@tidemark/record";
import { expect, test } from "vitest";
import { decodeFetched } from "./decode.ts";

const { codecs } = await loadCodecs();

/** Batches of one record each, some twenty times smaller than it. */
function compressedBatches(count: number, valueBytes: number): Uint8Array {
  const { gzip: codec } = codecs;
  if (codec === undefined) throw new Error("Node.js has gzip");
  const batches = Array.from({ length: count }, (_, offset) => {
    const value = Buffer.concat([randomBytes(valueBytes / 40), Buffer.alloc(valueBytes - valueBytes / 40)]);
    const batch = encodeBatch([{ timestamp: 0n, key: null, value, headers: [] }], { crc32c, codec });
    stampBatch(batch, 0, { baseOffset: BigInt(offset) as never, leaderEpoch: 0 as never });
    return batch;
  });
  return Buffer.concat(batches);
}

test("an answer that becomes large when it is decompressed is read in parts, each record once", () => {
  const bytes = compressedBatches(10, 4000);
  expect(bytes.length).toBeLessThan(8000);
  const parts: bigint[][] = [];
  for (let from = 0n; from < 10n && parts.length < 10; ) {
    const { records, nextOffset } = decodeFetched(bytes, { from, end: undefined, decodedBytesMax: 8000 }, codecs);
    parts.push(records.map(({ offset }) => offset));
    from = nextOffset;
  }
  expect(parts).toEqual([[0n, 1n, 2n], [3n, 4n, 5n], [6n, 7n, 8n], [9n]]);
});
