import type { SpanStart, TraceContext, Tracer } from "@tidemark/telemetry";

/** A span that was begun, and how it ended. */
interface RecordedSpan extends SpanStart {
  readonly context: TraceContext;
  attributes: Record<string, unknown>;
  ends: (string | undefined)[];
}

/** A tracer that keeps what it is told. It samples callers that are, and draws `draws` for those without a trace. */
export function createSpanRecorder(draws = true): { readonly tracer: Tracer; readonly spans: RecordedSpan[] } {
  const spans: RecordedSpan[] = [];
  let passedOver = 0;
  const tracer: Tracer = {
    enabled: true,
    samples: (parent) => parent?.sampled ?? draws,
    samplesError: () => true,
    start(start) {
      const spanId = (spans.length + 1).toString(16).padStart(16, "0");
      const traceId = start.parent?.traceId ?? "a".repeat(32);
      const context = start.told ?? { traceId, spanId, traceState: undefined };
      const span: RecordedSpan = {
        ...start,
        context: { ...context, sampled: true },
        attributes: {},
        ends: [],
      };
      spans.push(span);
      return {
        context: span.context,
        set: (attributes) => Object.assign(span.attributes, attributes),
        link: () => undefined,
        event: () => undefined,
        end: ({ error } = {}) => span.ends.push(error),
      };
    },
    record({ error, ...span }) {
      const started = tracer.start({ ...span });
      started.set(span.attributes ?? {});
      started.end({ error });
      return started.context;
    },
    unsampled: () => {
      passedOver += 1;
      const id = `b${passedOver.toString(16).padStart(15, "0")}`;
      return { traceId: id + id, spanId: id, sampled: false, traceState: undefined };
    },
  };
  return { tracer, spans };
}
