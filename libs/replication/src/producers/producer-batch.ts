import type { Offset } from "@tidemark/ids";

/** Sequences count the records of one producer epoch in one partition; after the largest int32 comes 0 (R11, as in Kafka). */
const sequences = 2 ** 31;

/** Who sent a batch, and which of its records stand in it. */
export interface ProducerStamp {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Sequence of the first record: 0 to 2^31-1. */
  readonly baseSequence: number;
  /** The last record's sequence minus the first one's, which may have wrapped. At least 0. */
  readonly lastOffsetDelta: number;
}

/** A batch of a producer as it stands in a log. The header of a record batch is one. */
export interface ProducerBatch extends ProducerStamp {
  readonly baseOffset: Offset;
}

/** A batch that a producer's window remembers. */
export interface WindowBatch {
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: Offset;
  /** One above its last offset: it is committed when the high watermark is there. */
  readonly endOffset: Offset;
}

export function windowBatchOf(batch: ProducerBatch): WindowBatch {
  const { baseSequence, baseOffset, lastOffsetDelta } = batch;
  return {
    baseSequence,
    lastSequence: lastSequenceOf(batch),
    baseOffset,
    endOffset: (baseOffset + BigInt(lastOffsetDelta) + 1n) as Offset,
  };
}

export function lastSequenceOf({ baseSequence, lastOffsetDelta }: ProducerStamp): number {
  return (baseSequence + lastOffsetDelta) % sequences;
}

export function nextSequence(sequence: number): number {
  return (sequence + 1) % sequences;
}

/**
 * Whether `sequence` comes after `other` on the circle: half of it counts as ahead, so that nothing in flight, which is
 * far less, is taken for what lies behind.
 */
export function isAfter(sequence: number, other: number): boolean {
  const ahead = (sequence - other + sequences) % sequences;
  return ahead > 0 && ahead < sequences / 2;
}
