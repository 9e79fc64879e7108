import { isSpanContextValid, TraceFlags, trace } from "@opentelemetry/api";
import { textToBytes } from "@tidemark/format";
import type { RecordHeader } from "@tidemark/record";

/**
 * The W3C `traceparent` of the caller's active span; undefined without one, and where it is not sampled: what nobody
 * records is not stored either.
 */
export function sampledTraceparent(): string | undefined {
  const context = trace.getActiveSpan()?.spanContext();
  if (context === undefined || !isSpanContextValid(context)) return undefined;
  if ((context.traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
  return `00-${context.traceId}-${context.spanId}-01`;
}

const headerKey = textToBytes("traceparent");

/** The record header by which a consumer's fetch links back to the produce. */
export function traceparentHeader(traceparent: string): RecordHeader {
  return { key: headerKey, value: textToBytes(traceparent) };
}
