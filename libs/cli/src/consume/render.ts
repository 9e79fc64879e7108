import type { ConsumedBatch } from "@tidemark/client";
import { bytesAs, jsonNumber } from "../output.ts";

export type RecordFormat = "text" | "json" | "raw";

type Consumed = ConsumedBatch["records"][number];

const newline = Buffer.from("\n");
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** Records as bytes to be written: raw is each value and one `\n`, and a null value is nothing and one `\n`. */
export function renderRecords(
  format: RecordFormat,
  batch: Pick<ConsumedBatch, "partition"> & { readonly topic: string; readonly records: readonly Consumed[] },
): Buffer {
  const { records, topic, partition } = batch;
  switch (format) {
    case "raw":
      return Buffer.concat(records.flatMap(({ value }) => (value === null ? [newline] : [value, newline])));
    case "text":
      return Buffer.from(
        records.map(({ value }) => `${value === null ? "null" : shown(lenient.decode(value))}\n`).join(""),
      );
    case "json":
      return Buffer.from(records.map((record) => `${jsonOf(topic, partition, record)}\n`).join(""));
  }
}

/** Without what would move a terminal's cursor or colour it: a record's bytes are not the terminal's commands. */
function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, (character) => {
    if (character === "\r") return "\\r";
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function jsonOf(topic: string, partition: number, { offset, timestamp, key, value, headers }: Consumed): string {
  const fields = {
    topic,
    partition,
    offset: jsonNumber(offset),
    timestamp: jsonNumber(timestamp),
    ...bytesAs("key", key),
    ...bytesAs("value", value),
    headers: headers.map((header) => ({ ...bytesAs("key", header.key), ...bytesAs("value", header.value) })),
  };
  return JSON.stringify(fields);
}
