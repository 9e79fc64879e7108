import { codecNameOf, explainStop, iterateBatches, noProducerId } from "@tidemark/record";
import { batchTooLarge, corruptBatch, type Place, unknownCodec } from "@tidemark/rpc";

/** What the first hop learns of batches. */
export interface Framed {
  readonly records: number;
  /** Every batch has a producer id: to store them again changes nothing (R11). */
  readonly isIdempotent: boolean;
}

/**
 * What the first hop checks of batches that it passes on as they are: that they are whole batches and none is too large.
 * Checksums are left to the leader, which computes them anyway. Throws a TidemarkError.
 */
export function checkFraming(bytes: Uint8Array, place: Place, batchBytesMax: number): Framed {
  let records = 0;
  let isIdempotent = true;
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
    if (step.header.producerId === noProducerId) isIdempotent = false;
  }
  return { records, isIdempotent };
}
