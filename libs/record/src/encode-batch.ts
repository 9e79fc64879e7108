import { type BatchSeal, createBatchBuilder } from "./batch-builder.ts";
import { batchHeaderBytes } from "./layout.ts";
import type { ProducedRecord } from "./record.ts";
import { recordBodySize, recordSize } from "./write-record.ts";

/**
 * One batch of these records, in order. Measures first, so that the bytes are allocated once and exactly. Throws a
 * RangeError for no records, a time below -1, and beyond 2 GiB.
 */
export function encodeBatch(records: readonly ProducedRecord[], seal: BatchSeal): Uint8Array {
  const builder = createBatchBuilder(encodedSize(records));
  for (const record of records) builder.append(record);
  return builder.build(seal);
}

/** Bytes of the batch of these records with its header, before compression. 61 for no records. */
export function encodedSize(records: readonly ProducedRecord[]): number {
  const baseTimestamp = records[0]?.timestamp ?? 0n;
  let size = batchHeaderBytes;
  let offset = 0;
  for (const record of records) {
    size += recordSize(recordBodySize(record, { timestamp: record.timestamp - baseTimestamp, offset: offset++ }));
  }
  return size;
}
