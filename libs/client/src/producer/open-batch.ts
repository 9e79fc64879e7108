import type { Span, SpanContext } from "@opentelemetry/api";
import { crc32c } from "@tidemark/compression";
import {
  type BatchBuilder,
  type BatchProducer,
  type Codecs,
  createBatchBuilder,
  decodeRecords,
  type ProducedRecord,
  readBatchHeader,
  sequenceAfter,
} from "@tidemark/record";
import type { TidemarkError } from "@tidemark/rpc";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import { isSampled, linkTo, traceHeader } from "../trace.ts";
import type { Settle } from "./outcome.ts";

/** A batch that records go into, and then one that is on its way. */
export interface OpenBatch {
  readonly builder: BatchBuilder;
  readonly settles: Settle[];
  /** When its first record came, on the monotonic clock, in milliseconds. Its delivery timeout counts from here. */
  readonly firstAt: number;
  /** Bytes that it takes of the producer's buffer. */
  bufferedBytes: number;
  /** Whether it has waited long enough for more records. */
  isDue: boolean;
  /** Whether it goes as it is, whatever else is on its way: somebody waits for it, and it takes no more records. */
  isFlushed: boolean;
  /** Whether it is on its way. */
  isSent: boolean;
  /** Producer id, epoch and the sequence of its first record. Undefined: not idempotent, or not sent yet. */
  producer: BatchProducer | undefined;
  /** As it is sent, once it has been. */
  encoded: Uint8Array | undefined;
  /** Attempts that failed, and what the last of them failed with. */
  failures: number;
  failure: TidemarkError | undefined;
  /** Whether an attempt to send it ended without an outcome. */
  isUnknown: boolean;
  /** Whether a batch before it, under the same identity, is certainly not stored: no leader stores this one then. */
  isBehindGap: boolean;
  /** Its span, where one of its records came under a sampled one. */
  span: Span | undefined;
  /**
   * Whose trace it belongs to where it has no span: the span of the batch that it is the first part of, which the second one
   * ends, or else the first of its callers, none of whom is sampled.
   */
  origin: SpanContext | undefined;
  /** Resolved once every record of it is settled. */
  readonly settled: Deferred<void>;
}

const capacityAtFirst = 16 * 1024;

export function openBatch(firstAt: number): OpenBatch {
  return {
    builder: createBatchBuilder(capacityAtFirst),
    settles: [],
    firstAt,
    bufferedBytes: 0,
    isDue: false,
    isFlushed: false,
    isSent: false,
    producer: undefined,
    encoded: undefined,
    failures: 0,
    failure: undefined,
    isUnknown: false,
    isBehindGap: false,
    span: undefined,
    origin: undefined,
    settled: createDeferred(),
  };
}

/** Whether the record still fits below `bytesMax`, which is before compression. */
export function hasRoomFor(batch: OpenBatch, record: ProducedRecord, bytesMax: number): boolean {
  return batch.builder.sizeWith(record) <= bytesMax;
}

/** Puts the record in and returns the bytes that it added. */
export function addRecord(batch: OpenBatch, record: ProducedRecord, settle: Settle): number {
  const size = batch.builder.append(record);
  const added = size - batch.bufferedBytes;
  batch.bufferedBytes = size;
  batch.settles.push(settle);
  return added;
}

/**
 * The record with the header that leads a reader to the span of its batch, which `start` makes for the first of them. Without
 * it where the program's sampler decided against that span.
 */
export function withTrace(
  batch: OpenBatch,
  record: ProducedRecord,
  { caller, start }: { readonly caller: SpanContext; readonly start: () => Span },
): ProducedRecord {
  if (batch.span === undefined) batch.span = start();
  else batch.span.addLink(linkTo(caller));
  const context = batch.span.spanContext();
  return isSampled(context) ? { ...record, headers: [...record.headers, traceHeader(context)] } : record;
}

/**
 * The same records in two batches, for a topic that takes smaller ones. The batch itself is settled when both are. Has to
 * have two records at least.
 */
export function splitBatch(batch: OpenBatch, codecs: Codecs): readonly [OpenBatch, OpenBatch] {
  const bytes = batch.builder.build({ crc32c });
  const header = readBatchHeader(bytes, 0);
  if (header.kind !== "ok") throw new Error("A batch that was just built has a header");
  const decoded = decodeRecords(bytes, header.header, { codecs, maxDecompressedBytes: bytes.length });
  if (decoded.kind !== "ok") throw new Error("A batch that was just built can be read");
  const half = Math.ceil(batch.settles.length / 2);
  const parts: readonly [OpenBatch, OpenBatch] = [openBatch(batch.firstAt), openBatch(batch.firstAt)];
  const { resolve, reject } = batch.settled;
  // Either may be the first to end: of two in flight, one that is too large alone is refused at once.
  Promise.all(parts.map(({ settled }) => settled.promise)).then(() => resolve(), reject);
  let index = 0;
  for (const record of decoded.records) {
    const settle = batch.settles[index];
    if (settle !== undefined) addRecord(parts[index < half ? 0 : 1], record, settle);
    index++;
  }
  parts[0].bufferedBytes = Math.floor(batch.bufferedBytes / 2);
  parts[1].bufferedBytes = batch.bufferedBytes - parts[0].bufferedBytes;
  for (const part of parts) {
    part.isUnknown = batch.isUnknown;
    part.isBehindGap = batch.isBehindGap;
  }
  // The records keep their sequences: none is left out, and none is given twice.
  const { producer } = batch;
  parts[0].producer = producer;
  if (producer !== undefined) {
    parts[1].producer = { ...producer, sequence: sequenceAfter(producer.sequence, half) };
  }
  parts[1].span = batch.span;
  for (const part of parts) part.origin = batch.span?.spanContext() ?? batch.origin;
  return parts;
}
