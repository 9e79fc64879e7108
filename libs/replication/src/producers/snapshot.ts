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
 * | silence          | uint32  | of each producer, behind all of them: |
 * |                  |         | for how long it had sent nothing, in  |
 * |                  |         | milliseconds. Older ones end before   |
 */
import type { Offset } from "@tidemark/ids";
import type { WindowBatch } from "./producer-batch.ts";

/** One producer, in its newest producer epoch. */
export interface ProducerEntry {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Its last batches, oldest first, at least one. */
  readonly batches: WindowBatch[];
  /** When its last batch was seen at the latest, on the monotonic clock. Undefined: before the clock was known. */
  seenMs: number | undefined;
}

/** A producer as a snapshot has it. */
export interface KeptProducer extends Omit<ProducerEntry, "seenMs"> {
  /** For how long it had been silent at least, in milliseconds: the clock of another process is not to be compared with. */
  readonly silentMs: number;
}

const headBytes = 4;
const entryBytes = 14;
const batchBytes = 24;
const silenceBytes = 4;
const silenceMaxMs = 2 ** 32 - 1;

/** `nowMs`: by the clock that the producers were seen by. Undefined: it is not known yet, and how long they were silent neither. */
export function writeProducers(entries: readonly ProducerEntry[], nowMs: number | undefined): Uint8Array {
  let size = headBytes;
  for (const { batches } of entries) size += entryBytes + batches.length * batchBytes + silenceBytes;
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
  for (const { seenMs } of entries) {
    const silentMs = nowMs === undefined || seenMs === undefined ? 0 : nowMs - seenMs;
    view.setUint32(at, Math.min(Math.floor(silentMs), silenceMaxMs));
    at += silenceBytes;
  }
  return bytes;
}

/** Nobody where there is no snapshot. */
export function readProducers(bytes: Uint8Array | undefined): KeptProducer[] {
  if (bytes === undefined || bytes.length === 0) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Omit<KeptProducer, "silentMs">[] = [];
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
    entries.push({ producerId, producerEpoch, batches });
  }
  const hasSilences = at + entries.length * silenceBytes <= bytes.length;
  return entries.map((entry, index) => ({
    ...entry,
    silentMs: hasSilences ? view.getUint32(at + index * silenceBytes) : 0,
  }));
}
