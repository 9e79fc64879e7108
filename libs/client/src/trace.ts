import {
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { bytesToText, textToBytes } from "@tidemark/format";
import type { RecordHeader } from "@tidemark/record";

/** The caller's active span, sampled or not; undefined without one. */
export function activeCaller(): SpanContext | undefined {
  const context = trace.getActiveSpan()?.spanContext();
  return context !== undefined && isSpanContextValid(context) ? context : undefined;
}

/** Of a valid context. */
export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** The W3C form: it also says whether the span is sampled, so that nobody behind draws again. */
export function traceparentOf(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${isSampled(context) ? "01" : "00"}`;
}

const headerKey = textToBytes("traceparent");

/** The record header by which a consumer's fetch links back to the produce. Of one length for every span. */
export function traceHeader(context: SpanContext): RecordHeader {
  return { key: headerKey, value: textToBytes(traceparentOf(context)) };
}

const noBytes = new Uint8Array();
const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The sampled span of the produce that stored a record; undefined where it left none that can be read. */
export function storedProduce(headers: readonly RecordHeader[]): SpanContext | undefined {
  const value = headers.find(({ key }) => Buffer.compare(key, headerKey) === 0)?.value ?? noBytes;
  const [, traceId = "", spanId = "", flags = ""] = traceparentPattern.exec(bytesToText(value) ?? "") ?? [];
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(context) && isSampled(context) ? context : undefined;
}

/** A link to a produce that is in a batch of another caller. */
export function linkTo(context: SpanContext): Link {
  return { context };
}

const tracer = trace.getTracer("@tidemark/client");

/** The span of one batch, from handing its first sampled record over to its outcome, below the caller's active span. */
export function startProduceSpan(topic: string, partition: number, acks: string): Span {
  return tracer.startSpan("tidemark.produce", {
    kind: SpanKind.PRODUCER,
    attributes: {
      "messaging.system": "tidemark",
      "messaging.operation.name": "produce",
      "messaging.operation.type": "send",
      "messaging.destination.name": topic,
      "messaging.destination.partition.id": String(partition),
      "tidemark.acks": acks,
    },
  });
}

/** What is known of a batch at its end. `error`: the reason's name; undefined where it was acknowledged. */
export function endProduceSpan(
  span: Span,
  batch: { readonly records: number; readonly bytes: number; readonly error: string | undefined },
): void {
  span.setAttribute("messaging.batch.message_count", batch.records);
  span.setAttribute("messaging.message.body.size", batch.bytes);
  if (batch.error !== undefined) {
    span.setAttribute("error.type", batch.error);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
