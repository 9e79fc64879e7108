import { crc32c, loadCodecs } from "@tidemark/compression";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { encodeBatch } from "@tidemark/record";
import { describe, expect, test } from "vitest";
import { checkBatches } from "./check-batches.ts";

const { codecs } = await loadCodecs();
const place = { topic: "t", partition: 0 };
const settings = { maxBatchBytes: 2 ** 20, log: {} } as Parameters<typeof checkBatches>[2]["settings"];

/** About 35 times smaller than its records: some bytes that do not repeat, and many that do. */
function compressed(): Uint8Array {
  const value = new Uint8Array(8000);
  for (let index = 0; index < 150; index++) value[index] = (index * 167 + 13) % 256;
  const { gzip } = codecs;
  if (gzip === undefined) throw new Error("Node.js has gzip");
  return encodeBatch([{ timestamp: 0n, key: null, value, headers: [] }], { crc32c, codec: gzip });
}

describe("a compressed batch", () => {
  test("is refused where its records are more times larger than the broker's setting allows, which is named", () => {
    const check = (ratioMax?: number) =>
      checkBatches(compressed(), place, { settings, codecs, acks: Acks.ALL, ratioMax });
    expect(check()).toMatchObject({ records: 1 });
    expect(check(100)).toMatchObject({ records: 1 });
    const refusal = { reason: Reason.CORRUPT_BATCH, outcome: Outcome.NOT_APPLIED };
    expect(() => check(10)).toThrow(expect.objectContaining(refusal) as Error);
    expect(() => check(10)).toThrow(/10 times what came \(decompression\.ratio\.max\)/);
  });
});
