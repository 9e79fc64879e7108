import type { Record as RecordMessage } from "@tidemark/proto/log/v1";
import { type Codec, type Crc32c, encodeBatch, type ProducedRecord, type RecordHeader } from "@tidemark/record";
import { toProduced } from "./produced.ts";

export interface EncodeRules {
  /** The time of records that name none, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly crc32c: Crc32c;
  /** Absent: no compression. */
  readonly codec?: Codec | undefined;
  /** Goes with the first record: where the batch belongs in a trace. */
  readonly traceHeader?: RecordHeader | undefined;
}

/** One batch of all records, or which record cannot be stored and why. */
export type EncodedRecords =
  | { readonly kind: "ok"; readonly batch: Uint8Array }
  | { readonly kind: "invalid"; readonly index: number; readonly message: string };

/** Encodes records as people write them into one batch. There is one at least. */
export function encodeRecords(messages: readonly RecordMessage[], rules: EncodeRules): EncodedRecords {
  const records: ProducedRecord[] = [];
  for (const [index, message] of messages.entries()) {
    const produced = toProduced(message, rules.nowMs);
    if (produced.kind === "invalid") return { kind: "invalid", index, message: produced.message };
    records.push(produced.record);
  }
  const [first, ...others] = records;
  if (first === undefined) throw new RangeError("A batch has one record at least");
  const traced = rules.traceHeader === undefined ? first : { ...first, headers: [...first.headers, rules.traceHeader] };
  const codec = rules.codec === undefined ? {} : { codec: rules.codec };
  return { kind: "ok", batch: encodeBatch([traced, ...others], { crc32c: rules.crc32c, ...codec }) };
}
