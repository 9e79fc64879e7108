/**
 * The W3C trace context: what one process tells another about the trace that a call belongs to. Plain text in, plain
 * text out, so that every carrier (gRPC metadata, HTTP headers, a record header) uses the same two functions.
 */

/** Identity of a span that may be in another process. */
export interface TraceContext {
  /** 32 hexadecimal digits in lower case, not all zero. */
  readonly traceId: string;
  /** 16 hexadecimal digits in lower case, not all zero. */
  readonly spanId: string;
  /** Whether the caller records this trace. */
  readonly sampled: boolean;
  /** What vendors along the way keep with the trace, passed on as it came. Undefined where there is none. */
  readonly traceState: string | undefined;
}

/** Names of the two headers, in the lower case of gRPC metadata. */
export const traceparentKey = "traceparent";
export const tracestateKey = "tracestate";

/**
 * The trailer by which a call with one answer, refused or not, says in which trace it was recorded: 32 hexadecimal
 * digits. Absent where it was not. A stream has none: each of its messages has a trace of its own.
 */
export const traceIdTrailer = "tidemark-trace-id";

export interface TraceHeaders {
  readonly [traceparentKey]?: string | undefined;
  readonly [tracestateKey]?: string | undefined;
}

const traceparentForm = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const tracestateForm = /^[\x20-\x7e]{1,512}$/;

/** Reads a `traceparent`. Anything malformed counts as absent, as the standard demands: the trace begins anew. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId, spanId, flags, rest] = traceparentForm.exec(text) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1, traceState: undefined };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

/** The context that a call carries. A malformed `tracestate` is left out and does not hurt the `traceparent`. */
export function extractTraceContext(headers: TraceHeaders): TraceContext | undefined {
  const traceparent = headers[traceparentKey];
  const context = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const traceState = headers[tracestateKey];
  if (context === undefined || traceState === undefined || !tracestateForm.test(traceState)) return context;
  return { ...context, traceState };
}

/** The headers that pass `context` on. */
export function injectTraceContext(context: TraceContext): TraceHeaders & { readonly [traceparentKey]: string } {
  const traceparent = formatTraceparent(context);
  return context.traceState === undefined ? { traceparent } : { traceparent, tracestate: context.traceState };
}
