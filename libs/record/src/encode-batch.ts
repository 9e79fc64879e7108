import { type BatchSeal, createBatchBuilder } from "./batch-builder.ts";
import { batchHeaderBytes } from "./layout.ts";
import type { ProducedRecord } from "./record.ts";

/**
 * What a record takes beside key, value and headers: 19 bytes at most when it is smaller than a megabyte, one of the
 * first million of its batch, and within 24 days of the first.
 */
const recordOverhead = 19;
/** What a header takes beside its key and value, each smaller than a megabyte. */
const headerOverhead = 6;

/**
 * One batch of these records, in order. Throws a RangeError for no records, a time below -1, and beyond 2 GiB.
 *
 * Room is reserved by a quick estimate that is hardly ever too small, and never wrong: the builder grows.
 */
export function encodeBatch(records: readonly ProducedRecord[], seal: BatchSeal): Uint8Array {
  const builder = createBatchBuilder(estimatedSize(records));
  for (const record of records) builder.append(record);
  return builder.build(seal);
}

function estimatedSize(records: readonly ProducedRecord[]): number {
  let size = batchHeaderBytes;
  for (const { key, value, headers } of records) {
    size += recordOverhead + (key?.length ?? 0) + (value?.length ?? 0);
    for (const header of headers) size += headerOverhead + header.key.length + (header.value?.length ?? 0);
  }
  return size;
}
