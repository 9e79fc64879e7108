import { bytesToText } from "@tidemark/format";
import { type BatchHeader, decodeRecords, iterateBatches, type RecordHeader } from "@tidemark/record";
import { reasonName, type TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  decodeTraceHeader,
  extractTraceContext,
  messagingSystem,
  spanNames,
  type TraceContext,
  type Tracer,
  traceparentKey,
} from "@tidemark/telemetry";
import type { TraceCarrier } from "./produce-trace.ts";

/** A fetch that handed something out, found nothing, or failed. */
export interface FinishedFetch {
  readonly topic: string;
  readonly startMs: number;
  /** What was read, partition by partition. */
  readonly batches: readonly Uint8Array[];
  readonly bytes: number;
  /** Of it, how long it waited for something to read. */
  readonly waitedMs: number;
  /** Of the first partition that failed. */
  readonly error: TidemarkError | undefined;
}

/**
 * Spans of fetches. A fetch is recorded when its caller is sampled or when it hands out a batch that was sampled when it
 * was produced; then it links to the produce. One that failed is recorded at a limited rate whatever is sampled, one that
 * found nothing never.
 */
export interface FetchTracer {
  /** Says which span it became. Undefined where it is not recorded. */
  finish(context: TraceCarrier, fetch: FinishedFetch): TraceContext | undefined;
}

export function createFetchTracer(tracer: Tracer, clock: Clock): FetchTracer {
  return {
    finish(context, { topic, startMs, batches, bytes, waitedMs, error }) {
      if (!tracer.enabled || (bytes === 0 && error === undefined)) return undefined;
      const parent = extractTraceContext(context);
      const links = batches.flatMap(producesIn);
      const isRecorded = links.length > 0 || tracer.samples(parent) || (error !== undefined && tracer.samplesError());
      if (!isRecorded) return undefined;
      return tracer.record({
        name: spanNames.brokerFetch,
        kind: "server",
        parent,
        links,
        startMs,
        endMs: clock.monotonicMs(),
        error: error && reasonName(error.reason),
        attributes: {
          [attributeNames.system]: messagingSystem,
          [attributeNames.operation]: "fetch",
          [attributeNames.topic]: topic,
          [attributeNames.bytes]: bytes,
          [attributeNames.waitedMs]: waitedMs,
          [attributeNames.segmentsRead]: batches.length,
        },
      });
    },
  };
}

/**
 * The trace contexts that stand with the batches, one of each: that of the first record that has one, which is not always
 * the first of its batch. A compressed batch is left closed: to open it would cost more than all the rest of the fetch.
 */
function producesIn(bytes: Uint8Array): TraceContext[] {
  const found: TraceContext[] = [];
  for (const step of iterateBatches(bytes)) {
    if (step.kind !== "ok") break;
    if (step.header.codecId !== 0 || !mayHoldContext(bytes, step.header)) continue;
    const decoded = decodeRecords(bytes, step.header, { codecs: {}, maxDecompressedBytes: 0 });
    if (decoded.kind === "failed") continue;
    for (const record of decoded.records) {
      const context = record.headers.length === 0 ? undefined : decodeTraceHeader(record.headers.map(readable));
      if (context === undefined) continue;
      found.push(context);
      break;
    }
  }
  return found;
}

/** Looks for the header's key among all bytes, which costs next to nothing beside decoding every record of the batch. */
function mayHoldContext(bytes: Uint8Array, { position, sizeInBytes }: BatchHeader): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset + position, sizeInBytes).includes(traceparentKey);
}

function readable({ key, value }: RecordHeader): { readonly key: string; readonly value: Uint8Array | null } {
  return { key: bytesToText(key) ?? "", value };
}
