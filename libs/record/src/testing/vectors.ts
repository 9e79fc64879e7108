/**
 * Batches without compression that Kafka's own classes (kafka-clients 4.3.1, `MemoryRecordsBuilder`) wrote, with what
 * those classes read back from them.
 */
import type { BatchHeader } from "../batch-header.ts";
import type { ProducedRecord } from "../record.ts";
import vectors from "./kafka-vectors.json" with { type: "json" };

export type KafkaVector = (typeof vectors)[number];

export const kafkaVectors: readonly KafkaVector[] = vectors;

/** The vector of this name. */
export function kafkaVector(name: string): KafkaVector {
  const found = vectors.find((vector) => vector.name === name);
  if (found === undefined) throw new Error(`No vector: ${name}`);
  return found;
}

/** Bytes from hexadecimal digits; blanks are for the reader. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(/\s/g, "").match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const bytesOrNull = (hex: string | null) => (hex === null ? null : fromHex(hex));

/** The vector's records with their offsets, as Kafka read them. */
export function recordsOf(vector: KafkaVector): (ProducedRecord & { offset: bigint })[] {
  return vector.records.map(({ offset, timestamp, key, value, headers }) => ({
    offset: BigInt(offset),
    timestamp: BigInt(timestamp),
    key: bytesOrNull(key),
    value: bytesOrNull(value),
    headers: headers.map(([headerKey, headerValue]) => ({
      key: fromHex(headerKey ?? ""),
      value: bytesOrNull(headerValue ?? null),
    })),
  }));
}

/** The vector's header as `readBatchHeader` gives it, in so far as Kafka's classes tell. */
export function headerOf({ header }: KafkaVector): Partial<BatchHeader> {
  return {
    position: 0,
    sizeInBytes: header.sizeInBytes,
    baseOffset: BigInt(header.baseOffset) as BatchHeader["baseOffset"],
    leaderEpoch: header.leaderEpoch as BatchHeader["leaderEpoch"],
    crc: header.crc,
    codecId: 0,
    timestampType: header.timestampType === "LogAppendTime" ? "logAppend" : "create",
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    hasDeleteHorizon: header.hasDeleteHorizon,
    baseTimestamp: BigInt(header.baseTimestamp),
    maxTimestamp: BigInt(header.maxTimestamp),
    producerId: BigInt(header.producerId),
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    recordCount: header.recordCount,
  };
}
