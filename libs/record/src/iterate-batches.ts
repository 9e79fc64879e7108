import { type HeaderResult, readBatchHeader } from "./batch-header.ts";

/** A header, or why there is no further one. `end`: the bytes end where a batch does. */
export type BatchStep = HeaderResult | { readonly kind: "end"; readonly position: number };

/**
 * The batches that stand one after the other in `bytes`, from `position` on: what a produce request carries, and what
 * recovery reads. Yields `ok` for each batch and then exactly one other step, which says why it stopped and where: up
 * to its position there are whole batches. Neither CRCs nor the order of offsets are looked at.
 *
 * The bytes may be stamped between two steps; their lengths may not change.
 */
export function* iterateBatches(bytes: Uint8Array, position = 0): Generator<BatchStep, void, undefined> {
  let at = position;
  while (at < bytes.length) {
    const step = readBatchHeader(bytes, at);
    yield step;
    if (step.kind !== "ok") return;
    at += step.header.sizeInBytes;
  }
  yield { kind: "end", position: at };
}
