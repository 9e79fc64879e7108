import { leaderEpoch } from "@tidemark/ids";
import { type Crc32c, hasValidCrc, iterateBatches, nextOffsetOf } from "@tidemark/record";
import type { BatchRange } from "@tidemark/replication";

/** What an answer's bytes hold, or what is wrong with them. */
export type ReadRanges =
  | { readonly kind: "ranges"; readonly batches: readonly BatchRange[] }
  | { readonly kind: "corrupt"; readonly why: string };

/** Reads the headers of whole batches that stand back to back, and holds each batch against its checksum (P6). */
export function readRanges(bytes: Uint8Array, crc32c: Crc32c): ReadRanges {
  const batches: BatchRange[] = [];
  for (const step of iterateBatches(bytes)) {
    if (step.kind === "end") break;
    if (step.kind !== "ok") {
      const what = step.kind === "incomplete" ? "an incomplete batch" : `no batch (${step.reason})`;
      return { kind: "corrupt", why: `there is ${what} at byte ${step.position}` };
    }
    const { header } = step;
    if (!hasValidCrc(bytes, header, crc32c)) {
      return { kind: "corrupt", why: `the checksum of the batch at offset ${header.baseOffset} does not match` };
    }
    if (header.leaderEpoch < 0) {
      return { kind: "corrupt", why: `no leader stamped the batch at offset ${header.baseOffset}` };
    }
    batches.push({
      baseOffset: header.baseOffset,
      endOffset: nextOffsetOf(header),
      leaderEpoch: leaderEpoch(header.leaderEpoch),
    });
  }
  return { kind: "ranges", batches };
}
