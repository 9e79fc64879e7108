/**
 * The bytes in which a table of producers is kept beside the log. Whoever stores them checks that they are whole, and
 * that they are of this format.
 *
 * | field            | type    |                                       |
 * |------------------|---------|---------------------------------------|
 * | producers        | uint32  | count of what follows                 |
 * | producer id      | int64   | of each producer                      |
 * | producer epoch   | int16   |                                       |
 * | batches          | uint32  | count of what follows                 |
 * | base sequence    | int32   | of each batch, oldest first           |
 * | last sequence    | int32   |                                       |
 * | base offset      | int64   |                                       |
 * | end offset       | int64   |                                       |
 */
import type { Offset } from "@tidemark/ids";
import type { WindowBatch } from "./producer-batch.ts";

/** One producer, in its newest producer epoch. */
export interface ProducerEntry {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Its last batches, oldest first, at least one. */
  readonly batches: WindowBatch[];
  /** When its last batch was seen, on the monotonic clock. Undefined: before the clock was known. */
  seenMs: number | undefined;
}

const headBytes = 4;
const entryBytes = 14;
const batchBytes = 24;

export function writeProducers(entries: readonly ProducerEntry[]): Uint8Array {
  let size = headBytes;
  for (const { batches } of entries) size += entryBytes + batches.length * batchBytes;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, entries.length);
  let at = headBytes;
  for (const { producerId, producerEpoch, batches } of entries) {
    view.setBigInt64(at, producerId);
    view.setInt16(at + 8, producerEpoch);
    view.setUint32(at + 10, batches.length);
    at += entryBytes;
    for (const batch of batches) {
      view.setInt32(at, batch.baseSequence);
      view.setInt32(at + 4, batch.lastSequence);
      view.setBigInt64(at + 8, batch.baseOffset);
      view.setBigInt64(at + 16, batch.endOffset);
      at += batchBytes;
    }
  }
  return bytes;
}

/** Nobody where there is no snapshot. */
export function readProducers(bytes: Uint8Array | undefined): ProducerEntry[] {
  if (bytes === undefined || bytes.length === 0) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: ProducerEntry[] = [];
  let at = headBytes;
  for (let left = view.getUint32(0); left > 0; left--) {
    const producerId = view.getBigInt64(at);
    const producerEpoch = view.getInt16(at + 8);
    const count = view.getUint32(at + 10);
    at += entryBytes;
    const batches: WindowBatch[] = [];
    for (let index = 0; index < count; index++, at += batchBytes) {
      batches.push({
        baseSequence: view.getInt32(at),
        lastSequence: view.getInt32(at + 4),
        baseOffset: view.getBigInt64(at + 8) as Offset,
        endOffset: view.getBigInt64(at + 16) as Offset,
      });
    }
    entries.push({ producerId, producerEpoch, batches, seenMs: undefined });
  }
  return entries;
}
