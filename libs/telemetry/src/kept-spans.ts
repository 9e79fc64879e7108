import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";

/** A span that is over, with the process that it came from. */
export type KeptSpan = ReadableSpan;

/** Hands each span over when it ends, to whoever keeps them. */
export function createSpanKeeper(onSpan: (span: KeptSpan) => void): SpanProcessor {
  return {
    onStart: () => undefined,
    onEnd: onSpan,
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
}

const decoder = new TextDecoder();

/** Spans as one document of OTLP's JSON form, without a line break in it. */
export function otlpJson(spans: readonly KeptSpan[]): string {
  return decoder.decode(JsonTraceSerializer.serializeRequest([...spans]));
}
