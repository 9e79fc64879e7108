import type { BatchHeader } from "./batch-header.ts";
import { int32Max } from "./layout.ts";

/** The sequence that comes `count` records after `sequence`. After 2^31-1 comes 0 (R11, as in Kafka). */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % (int32Max + 1);
}

/** Sequence of the batch's last record; -1 without a producer id. */
export function lastSequenceOf(header: BatchHeader): number {
  return header.baseSequence < 0 ? -1 : sequenceAfter(header.baseSequence, header.lastOffsetDelta);
}
