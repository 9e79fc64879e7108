import { textToBytes } from "@tidemark/format";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { ProducedRecord, RecordHeader } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";

/** Bytes, or text that is stored as UTF-8. */
export type BytesOrText = Uint8Array | string;

/** A name and a value beside a record's own. */
export interface HeaderToSend {
  readonly key: BytesOrText;
  readonly value: BytesOrText | null;
}

/** A record to be sent. */
export interface RecordToSend {
  /** Absent or null: no key. */
  readonly key?: BytesOrText | null;
  /** Null: a delete marker. */
  readonly value: BytesOrText | null;
  readonly headers?: readonly HeaderToSend[];
  /** Milliseconds since 1970, whole. Absent: now. */
  readonly timestampMs?: number;
  /** Absent: by key; without a key one partition for a while, then another. */
  readonly partition?: number;
}

const noHeaders: readonly RecordHeader[] = [];

/** Why the record cannot be sent at all; undefined where it can. */
export function refuseRecord(record: RecordToSend): TidemarkError | undefined {
  const { partition, timestampMs, key, value, headers = noHeaders } = record;
  if (!isNullable(key ?? null)) return invalid(Reason.INVALID_RECORD, `A key is ${notBytes(key)}`);
  if (!isNullable(value)) return invalid(Reason.INVALID_RECORD, `A value is ${notBytes(value)}`);
  const isRight = (header: HeaderToSend) => isBytesOrText(header.key) && isNullable(header.value);
  if (!Array.isArray(headers) || !headers.every(isRight))
    return invalid(Reason.INVALID_RECORD, "A header needs a key and a value: bytes or text");
  if (partition !== undefined && !(Number.isInteger(partition) && partition >= 0 && partition < 2 ** 31)) {
    return invalid(Reason.INVALID_ARGUMENT, `${partition} is no partition: name one from 0 on`);
  }
  if (timestampMs !== undefined && !(Number.isSafeInteger(timestampMs) && timestampMs >= 0)) {
    return invalid(Reason.INVALID_RECORD, `${timestampMs} is no time: give whole milliseconds since 1970`);
  }
  return undefined;
}

function invalid(reason: Reason, message: string): TidemarkError {
  return new TidemarkError({ reason, message, outcome: Outcome.NOT_APPLIED });
}

/** Whoever calls from JavaScript may give anything. */
function isBytesOrText(given: unknown): given is BytesOrText {
  return typeof given === "string" || given instanceof Uint8Array;
}

function isNullable(given: unknown): given is BytesOrText | null {
  return given === null || isBytesOrText(given);
}

function notBytes(given: unknown): string {
  return `neither bytes nor text but ${given === undefined ? "missing" : `a ${typeof given}`}: null means that there is none`;
}

export function toProduced(record: RecordToSend, nowMs: number): ProducedRecord {
  const { headers } = record;
  return {
    timestamp: BigInt(record.timestampMs ?? nowMs),
    key: bytesOf(record.key ?? null),
    value: bytesOf(record.value),
    headers: headers === undefined || headers.length === 0 ? noHeaders : headers.map(headerOf),
  };
}

function headerOf({ key, value }: HeaderToSend): RecordHeader {
  return { key: typeof key === "string" ? textToBytes(key) : key, value: bytesOf(value) };
}

function bytesOf(given: BytesOrText | null): Uint8Array | null {
  return typeof given === "string" ? textToBytes(given) : given;
}
