import { exactNumber } from "./attributes.ts";
import type { TraceContext } from "./trace-context.ts";

export type LogValue = string | number | boolean | bigint | null | undefined;

/**
 * What a log line says beside its message. Plain values only: neither the contents of a record nor an object that may
 * hold them can be given. `error`: what was caught. `trace`: the span that the line belongs to.
 */
export interface LogFields {
  readonly [name: string]: LogValue | readonly LogValue[] | TraceContext | Error;
  readonly trace?: TraceContext;
  readonly error?: Error;
}

/** A longer text is cut: a line is for reading, and a text of this length is no name of anything. */
const longestText = 1000;

/** A field of such a name is a secret, whoever logs it. */
const secretName = /passw|secret|token|credential|authorization|private.?key/i;

/** The fields as they are written. */
export function plainFields(fields: LogFields): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (isTraceContext(value)) {
      plain.trace_id = value.traceId;
      plain.span_id = value.spanId;
    } else if (secretName.test(name)) plain[name] = "***";
    else if (value instanceof Error) plain[name] = plainError(value);
    else plain[name] = Array.isArray(value) ? value.map(plainValue) : plainValue(value);
  }
  return plain;
}

function isTraceContext(value: unknown): value is TraceContext {
  return typeof value === "object" && value !== null && "traceId" in value && "spanId" in value;
}

function plainError(error: Error): Record<string, unknown> {
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const cause = error.cause instanceof Error ? { cause: plainValue(error.cause.message) } : {};
  return { type: error.name, message: plainValue(error.message), ...code, stack: plainValue(error.stack), ...cause };
}

function plainValue(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return exactNumber(value);
    case "string":
      return value.length > longestText ? `${value.slice(0, longestText)}... (${value.length} characters)` : value;
    case "number":
      // JSON has no word for these.
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    default:
      return value === null || value === undefined ? null : "(left out)";
  }
}
