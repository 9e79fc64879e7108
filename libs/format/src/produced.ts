import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Header, Record as RecordMessage } from "@tidemark/proto/log/v1";
import type { ProducedRecord, RecordHeader } from "@tidemark/record";
import { jsonToBytes } from "./json.ts";
import { textToBytes } from "./text.ts";
import { lastTimestampMs } from "./timestamp.ts";

/** A record as it goes into a batch, or what is wrong with it as a sentence. */
export type Produced =
  | { readonly kind: "ok"; readonly record: ProducedRecord }
  | { readonly kind: "invalid"; readonly message: string };

/** Turns a record as people write it into what a batch holds. `nowMs`: its time where it names none. */
export function toProduced(message: RecordMessage, nowMs: number): Produced {
  const value = valueOf(message.valueForm);
  if (value === undefined) return { kind: "invalid", message: "json holds a number that JSON does not know" };
  const timestamp = message.timestamp === undefined ? BigInt(Math.trunc(nowMs)) : toMs(message.timestamp);
  if (timestamp < 0n) return { kind: "invalid", message: "timestamp lies before 1970" };
  if (timestamp > lastTimestampMs) return { kind: "invalid", message: "timestamp lies after the year 9999" };
  const record = {
    timestamp,
    key: keyOf(message.keyForm),
    value,
    headers: message.headers.map(headerOf),
  };
  return { kind: "ok", record };
}

/** Whole milliseconds, rounded down: a time never moves into the next second, day or year. */
function toMs({ seconds, nanos }: Timestamp): bigint {
  return seconds * 1000n + BigInt(Math.floor(nanos / 1_000_000));
}

/** The bytes of a record's key; null where it has none. */
export function keyOf(form: RecordMessage["keyForm"]): Uint8Array | null {
  switch (form.case) {
    case "key":
      return form.value;
    case "keyText":
      return textToBytes(form.value);
    case undefined:
      return null;
  }
}

function valueOf(form: RecordMessage["valueForm"]): Uint8Array | null | undefined {
  switch (form.case) {
    case "value":
      return form.value;
    case "text":
      return textToBytes(form.value);
    case "json":
      return jsonToBytes(form.value);
    case undefined:
      return null;
  }
}

function headerOf(header: Header): RecordHeader {
  const { form } = header;
  const value = form.case === undefined ? null : form.case === "text" ? textToBytes(form.value) : form.value;
  return { key: textToBytes(header.key), value };
}
