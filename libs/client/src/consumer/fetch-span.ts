import {
  type Attributes,
  isSpanContextValid,
  type Link,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { reasonName, TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import { storedProduce, traceparentOf } from "../trace.ts";
import type { ConsumedBatch } from "./fetcher.ts";

/** Links that one span carries; those beyond are counted. */
const linksMax = 32;

/**
 * The span `tidemark.fetch` of one fetch: from asking to having the records, with a link to the produce of each sampled
 * batch that came. It hangs below the reader's active span; where the draw fell against it, what it hands out of sampled
 * produces begins one of its own.
 */
export interface FetchSpan {
  /** To be sent with the fetch, whether the span is recorded or not. Undefined where the program has no telemetry. */
  readonly traceparent: string | undefined;
  /** What came. A fetch that brought nothing leaves no span. */
  end(batches: readonly ConsumedBatch[], bytes: number, waitedMs: number): void;
  fail(error: unknown): void;
}

const tracer = trace.getTracer("@tidemark/client");

/** Where tracing is off this costs next to nothing. */
export function startFetchSpan(topic: string, clock: Clock): FetchSpan {
  const startTime = clock.wallMs();
  const start = (links: Link[]): Span =>
    tracer.startSpan("tidemark.fetch", {
      kind: SpanKind.CONSUMER,
      links,
      startTime,
      attributes: {
        "messaging.system": "tidemark",
        "messaging.operation.name": "fetch",
        "messaging.operation.type": "receive",
        "messaging.destination.name": topic,
      },
    });
  const asked = start([]);
  const context = asked.spanContext();
  return {
    traceparent: isSpanContextValid(context) ? traceparentOf(context) : undefined,
    end(batches, bytes, waitedMs) {
      if (batches.length === 0 || !isSpanContextValid(context)) return;
      const links = linksTo(batches);
      const kept = links.slice(0, linksMax);
      const span = asked.isRecording() ? asked.addLinks(kept) : start(kept);
      if (!span.isRecording()) return;
      span.setAttributes({
        ...attributesOf(batches),
        "messaging.message.body.size": bytes,
        "tidemark.waited_ms": waitedMs,
      });
      if (links.length > linksMax) span.setAttribute("tidemark.links.dropped", links.length - linksMax);
      span.end();
    },
    fail(error) {
      if (!asked.isRecording()) return;
      asked.setAttribute("error.type", error instanceof TidemarkError ? reasonName(error.reason) : "_OTHER");
      asked.setStatus({ code: SpanStatusCode.ERROR });
      asked.end();
    },
  };
}

/** One of each produce, in the order of the records. */
function linksTo(batches: readonly ConsumedBatch[]): Link[] {
  const links = new Map<string, Link>();
  for (const { records } of batches) {
    for (const { headers } of records) {
      const context = headers.length === 0 ? undefined : storedProduce(headers);
      if (context !== undefined) links.set(context.spanId, { context });
    }
  }
  return [...links.values()];
}

/** Offset and high watermark mean something of one partition only. */
function attributesOf(batches: readonly ConsumedBatch[]): Attributes {
  const records = batches.reduce((sum, batch) => sum + batch.records.length, 0);
  const [only, ...others] = batches;
  const common = { "messaging.batch.message_count": records };
  if (only === undefined || others.length > 0) return { ...common, "tidemark.partitions": batches.length };
  return {
    ...common,
    "messaging.destination.partition.id": String(only.partition),
    "tidemark.offset": String(only.records[0]?.offset ?? only.nextOffset),
    "tidemark.high_watermark": String(only.highWatermark),
  };
}
