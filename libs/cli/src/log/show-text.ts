import type { BatchDump, IndexDump, LogDump, RecoveryOutlook, SegmentDump } from "@tidemark/log";
import { codecNameOf, lastOffsetOf, noProducerId, noTimestamp, type StoredRecord } from "@tidemark/record";
import { tableOf } from "../output.ts";

/** A batch on one line, and below it its records if they are wanted. */
export function batchAsText({ path, position, header, hasValidCrc, records }: BatchDump, deep: boolean): string {
  const { producerId, producerEpoch, baseSequence } = header;
  const facts = [
    `${header.baseOffset}..${lastOffsetOf(header)}`,
    `${fileOf(path)} at byte ${position}`,
    `${header.sizeInBytes} bytes`,
    count(header.recordCount, "record"),
    `leader epoch ${header.leaderEpoch}`,
    `codec ${codecNameOf(header.codecId) ?? `unknown (${header.codecId})`}`,
    `${header.timestampType === "create" ? "create" : "append"} time up to ${timeOf(header.maxTimestamp)}`,
    ...(producerId === noProducerId ? [] : [`producer ${producerId} epoch ${producerEpoch} sequence ${baseSequence}`]),
    ...(header.isControl ? ["control"] : []),
    ...(hasValidCrc ? [] : ["WRONG CHECKSUM"]),
  ];
  const line = `${facts.join(", ")}\n`;
  return deep ? line + recordsAsText(records()) : line;
}

function recordsAsText(decoded: ReturnType<BatchDump["records"]>): string {
  if (decoded.kind === "failed") return `  the records cannot be read: ${decoded.reason}\n`;
  let lines = "";
  for (const record of decoded.records) lines += `  ${recordAsText(record)}\n`;
  return lines;
}

function recordAsText({ offset, timestamp, key, value, headers }: StoredRecord): string {
  const tags = headers.map((header) => ` ${bytesAsText(header.key)}=${bytesAsText(header.value)}`);
  return `${offset} ${timeOf(timestamp)} key ${bytesAsText(key)} value ${bytesAsText(value)}${tags.join("")}`;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Quoted and escaped, so that nothing in it moves a terminal's cursor; bytes that are no text in hexadecimal. */
function bytesAsText(bytes: Uint8Array | null): string {
  if (bytes === null) return "null";
  try {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
    return JSON.stringify(strict.decode(bytes)).replace(/[\u007f-\u009f]/g, (character) => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
  } catch {
    return `0x${Buffer.from(bytes).toString("hex")}`;
  }
}

/** Everything about a log as a whole, for people. */
export function logAsText(dump: LogDump): string {
  const parts = [`${dump.path}\n`];
  if (dump.recovery !== undefined) parts.push(notedAsText(dump.noted));
  parts.push(
    tableOf(
      ["Segment", "Offsets", "Batches", "Records", "Bytes", "Latest time", "Index"],
      dump.segments.map(segmentAsRow),
    ),
  );
  if (dump.epochs !== undefined) {
    parts.push(
      tableOf(
        ["Leader epoch", "Start offset"],
        dump.epochs.map(({ leaderEpoch, startOffset }) => [leaderEpoch, String(startOffset)]),
      ),
    );
  }
  if (dump.recovery !== undefined) parts.push(`A start ${outlookAsText(dump.recovery)}.\n`);
  parts.push(
    dump.problems.length === 0
      ? "Nothing is wrong.\n"
      : `${count(dump.problems.length, "problem")}:\n${dump.problems.map((problem) => `  ${problem}\n`).join("")}`,
  );
  return `${parts.join("")}\n`;
}

function notedAsText(noted: LogDump["noted"]): string {
  if (noted === undefined) return "Noted offsets: none that can be read\n";
  return `Noted offsets: log start ${noted.logStart}, high watermark ${noted.highWatermark}, flushed ${noted.flushed}\n`;
}

function segmentAsRow(segment: SegmentDump): (string | number)[] {
  return [
    fileOf(segment.path),
    `${segment.baseOffset}..${segment.nextOffset}`,
    segment.batches,
    segment.records,
    segment.sizeInBytes,
    timeOf(segment.maxTimestamp),
    indexAsText(segment.index),
  ];
}

function indexAsText(index: IndexDump): string {
  switch (index.kind) {
    case "sound":
      return `sound: ${index.entries} ${index.entries === 1 ? "entry" : "entries"} for ${index.coveredBytes} bytes`;
    case "absent":
      return "absent";
    case "wrong":
      return "WRONG";
  }
}

/** What follows "A start". */
function outlookAsText(recovery: RecoveryOutlook): string {
  switch (recovery.kind) {
    case "nothing":
      return `has nothing to do: everything up to offset ${recovery.end} was flushed`;
    case "rewrite":
      return (
        `writes offsets ${recovery.from} to ${recovery.end} anew and flushes them` +
        (recovery.tornBytes === 0 ? "" : `, and cuts ${count(recovery.tornBytes, "torn byte")} behind them`)
      );
    case "startAnew":
      return `begins this log anew at offset ${recovery.at}, empty: a crash interrupted that`;
    case "offline":
      return `takes this replica offline: ${recovery.damage.kind} from offset ${recovery.damage.offset} on`;
  }
}

function timeOf(timestamp: bigint): string {
  if (timestamp === noTimestamp) return "none";
  const date = new Date(Number(timestamp));
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString();
}

function fileOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}
