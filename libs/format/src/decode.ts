import type { FetchedRecord } from "@tidemark/proto/log/v1";
import {
  type Codecs,
  type DecodeFailure,
  decodeRecords,
  decompressedBytesMax,
  iterateBatches,
  nextOffsetOf,
  type StoredRecord,
} from "@tidemark/record";
import { type RecordFormat, toFetched } from "./fetched.ts";

export interface DecodeLimits {
  /** The offset that was asked for: the first batch may begin below it. */
  readonly from: bigint;
  readonly recordsMax: number;
  /** Bytes of keys, values and headers, about; one record is handed out in any case. */
  readonly bytesMax: number;
}

export type DecodedRecords =
  | {
      readonly kind: "ok";
      readonly records: FetchedRecord[];
      /** Bytes of keys, values and headers, about. */
      readonly bytes: number;
      /** The offset to go on from. */
      readonly nextOffset: bigint;
    }
  | { readonly kind: "failed"; readonly offset: bigint; readonly reason: DecodeFailure };

/** Turns whole batches into records as people are handed them. */
export function decodeBatches(
  batches: Uint8Array,
  limits: DecodeLimits,
  { format, codecs }: { readonly format: RecordFormat; readonly codecs: Codecs },
): DecodedRecords {
  const records: FetchedRecord[] = [];
  let bytes = 0;
  let nextOffset = limits.from;
  for (const step of iterateBatches(batches)) {
    if (step.kind !== "ok") break;
    const { header } = step;
    const decoded = decodeRecords(batches, header, { codecs, maxDecompressedBytes: decompressedBytesMax });
    if (decoded.kind === "failed") return { kind: "failed", offset: header.baseOffset, reason: decoded.reason };
    for (const record of decoded.records) {
      if (record.offset < limits.from) continue;
      const size = sizeOf(record);
      const isFull = records.length >= limits.recordsMax || bytes + size > limits.bytesMax;
      if (isFull && records.length > 0) return { kind: "ok", records, bytes, nextOffset };
      records.push(toFetched(record, header, format));
      bytes += size;
      nextOffset = record.offset + 1n;
    }
    const next = nextOffsetOf(header);
    if (next > nextOffset) nextOffset = next;
  }
  return { kind: "ok", records, bytes, nextOffset };
}

/** What a record is in an answer beside its key and value: offset, time, tags. */
const overhead = 40;

function sizeOf(record: StoredRecord): number {
  let size = overhead + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const header of record.headers) size += overhead + header.key.length + (header.value?.length ?? 0);
  return size;
}
