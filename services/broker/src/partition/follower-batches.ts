import { crc32c } from "@tidemark/compression";
import { hasValidCrc, iterateBatches, nextOffsetOf } from "@tidemark/record";
import type { BatchRange } from "@tidemark/replication";

/**
 * The batches that a leader sent, each checked against its checksum, since damage must not spread (P6). Undefined where
 * the bytes are not whole, sound batches.
 */
export function soundBatches(bytes: Uint8Array): readonly BatchRange[] | undefined {
  const ranges: BatchRange[] = [];
  for (const batch of iterateBatches(bytes)) {
    if (batch.kind === "end") break;
    if (batch.kind !== "ok" || !hasValidCrc(bytes, batch.header, crc32c)) return undefined;
    const { baseOffset, leaderEpoch } = batch.header;
    ranges.push({ baseOffset, endOffset: nextOffsetOf(batch.header), leaderEpoch });
  }
  return ranges;
}
