import { type BatchBuilder, createBatchBuilder, type ProducedRecord } from "@tidemark/record";
import type { Settle } from "./outcome.ts";

/** A batch that records go into, and then one that is on its way. */
export interface OpenBatch {
  readonly builder: BatchBuilder;
  readonly settles: Settle[];
  /** When its first record came, on the monotonic clock, in milliseconds. Its delivery timeout counts from here. */
  readonly firstAt: number;
  /** Whether another record still fits. */
  hasRoomFor(record: ProducedRecord): boolean;
  add(record: ProducedRecord, settle: Settle): void;
}

/** `bytesMax` is what the batch may have before compression. A record that is larger alone has a batch of its own. */
export function openBatch(firstAt: number, bytesMax: number): OpenBatch {
  const builder = createBatchBuilder(16 * 1024);
  const settles: Settle[] = [];
  return {
    builder,
    settles,
    firstAt,
    hasRoomFor: (record) => settles.length === 0 || builder.sizeWith(record) <= bytesMax,
    add(record, settle) {
      builder.append(record);
      settles.push(settle);
    },
  };
}
