import { create } from "@bufbuild/protobuf";
import { type FetchedRecord, FetchedRecordSchema, Format, type Header, HeaderSchema } from "@tidemark/proto/log/v1";
import type { BatchHeader, RecordHeader, StoredRecord } from "@tidemark/record";
import { bytesToJson } from "./json.ts";
import { bytesToText } from "./text.ts";
import { shownTimestamp } from "./timestamp.ts";

/** The forms that are made of single records. */
export type RecordFormat = Exclude<Format, typeof Format.BATCHES>;

/** Turns a stored record into what people are handed out. Its bytes are slices of what was read, not copies. */
export function toFetched(record: StoredRecord, batch: BatchHeader, format: RecordFormat): FetchedRecord {
  const asText = format === Format.TEXT || format === Format.JSON;
  const timestamp = shownTimestamp(record.timestamp);
  return create(FetchedRecordSchema, {
    offset: record.offset,
    keyForm: keyForm(record.key, asText),
    valueForm: valueForm(record.value, format),
    headers: record.headers.map((header) => headerForm(header, asText)),
    ...(timestamp !== undefined && { timestamp }),
    leaderEpoch: Math.max(0, batch.leaderEpoch),
  });
}

function keyForm(key: Uint8Array | null, asText: boolean): FetchedRecord["keyForm"] {
  if (key === null) return { case: undefined };
  const text = asText ? bytesToText(key) : undefined;
  return text === undefined ? { case: "key", value: key } : { case: "keyText", value: text };
}

function valueForm(value: Uint8Array | null, format: RecordFormat): FetchedRecord["valueForm"] {
  if (value === null) return { case: undefined };
  if (format === Format.JSON) {
    const json = bytesToJson(value);
    if (json !== undefined) return { case: "json", value: json };
  }
  const text = format === Format.TEXT || format === Format.JSON ? bytesToText(value) : undefined;
  return text === undefined ? { case: "value", value } : { case: "text", value: text };
}

function headerForm(header: RecordHeader, asText: boolean): Header {
  const key = bytesToText(header.key) ?? Array.from(header.key, (byte) => String.fromCharCode(byte)).join("");
  const { value } = header;
  if (value === null) return create(HeaderSchema, { key });
  const text = asText ? bytesToText(value) : undefined;
  return create(HeaderSchema, {
    key,
    form: text === undefined ? { case: "value", value } : { case: "text", value: text },
  });
}
