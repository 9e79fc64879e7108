import { codecNameOf, explainStop, iterateBatches } from "@tidemark/record";
import { batchTooLarge, corruptBatch, type Place, unknownCodec } from "@tidemark/rpc";

/**
 * What the first hop checks of batches that it passes on as they are: that they are whole batches and none is too large.
 * Checksums are left to the leader, which computes them anyway. Throws a TidemarkError; returns the count of records.
 */
export function checkFraming(bytes: Uint8Array, place: Place, batchBytesMax: number): number {
  let records = 0;
  for (const step of iterateBatches(bytes)) {
    if (step.kind === "end") break;
    const header = step.kind === "malformed" ? undefined : step.header;
    if (header !== undefined && header.sizeInBytes > batchBytesMax) {
      throw batchTooLarge(place, header.sizeInBytes, batchBytesMax);
    }
    if (step.kind !== "ok") throw corruptBatch(place, explainStop(step, bytes.length));
    if (codecNameOf(step.header.codecId) === undefined) {
      throw unknownCodec(place, step.header.codecId);
    }
    records += step.header.recordCount;
  }
  return records;
}
