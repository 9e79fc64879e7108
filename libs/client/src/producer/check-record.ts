import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { ProducedRecord, RecordHeader } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";

/** A record to be sent. */
export interface RecordToSend {
  /** Absent or null: no key. */
  readonly key?: Uint8Array | null;
  /** Null: a delete marker. */
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
  /** Milliseconds since 1970, whole. Absent: now. */
  readonly timestampMs?: number;
  /** Absent: by key; without a key one partition for a while, then another. */
  readonly partition?: number;
}

const noHeaders: readonly RecordHeader[] = [];

/** Why the record cannot be sent at all; undefined where it can. */
export function refuseRecord({ partition, timestampMs }: RecordToSend): TidemarkError | undefined {
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

export function toProduced(record: RecordToSend, nowMs: number): ProducedRecord {
  return {
    timestamp: BigInt(record.timestampMs ?? nowMs),
    key: record.key ?? null,
    value: record.value,
    headers: record.headers ?? noHeaders,
  };
}
