import { formatTraceparent, parseTraceparent, type TraceContext, traceparentKey } from "./trace-context.ts";

/**
 * The trace context that is stored with a batch: a header of its first record, key `traceparent`, value the W3C text
 * in ASCII. A consumer's fetch links back by it to the produce, hours later.
 *
 * Whoever encodes the batch writes it, the SDK or the gateway, and only for a batch that is sampled. Brokers never add
 * or change one, since records are not theirs to encode.
 */
export interface TraceRecordHeader {
  readonly key: typeof traceparentKey;
  readonly value: Uint8Array;
}

/** A longer value is no `traceparent` of any version known, and is not decoded. */
const longestValue = 128;

/** The header for a batch. Undefined where the context is not sampled: nobody could follow the link. */
export function encodeTraceHeader(context: TraceContext): TraceRecordHeader | undefined {
  if (!context.sampled) return undefined;
  return { key: traceparentKey, value: new TextEncoder().encode(formatTraceparent(context)) };
}

/** The context in a record's headers. Undefined where there is none, it is malformed, or it says "not sampled". */
export function decodeTraceHeader(
  headers: readonly { readonly key: string; readonly value: Uint8Array | null }[],
): TraceContext | undefined {
  const value = headers.find(({ key }) => key === traceparentKey)?.value;
  if (value === undefined || value === null || value.length > longestValue) return undefined;
  const context = parseTraceparent(new TextDecoder().decode(value));
  return context?.sampled === true ? context : undefined;
}
