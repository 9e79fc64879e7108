import type { SpanLink, TraceSpan } from "./span.ts";

/** What came is no trace that can be read. */
export class TraceFormatError extends Error {
  override readonly name = "TraceFormatError";
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The spans of OTLP's JSON form: one document, or one for each line, as a collector writes files. Jaeger answers with the
 * same below `result`. Throws TraceFormatError.
 */
export function readOtlp(text: string): readonly TraceSpan[] {
  const spans = documentsOf(text).flatMap((document) => {
    const inner = isJson(document.result) ? document.result : document;
    const resourceSpans = listOf(inner, "resourceSpans");
    if (resourceSpans === undefined)
      throw new TraceFormatError("It holds no resourceSpans: it is not OTLP's JSON form");
    return resourceSpans.flatMap(spansOfResource);
  });
  // A document that was sent twice holds nothing new.
  return [...new Map(spans.map((span) => [`${span.traceId} ${span.spanId}`, span])).values()];
}

function documentsOf(text: string): readonly Json[] {
  const whole = parse(text);
  if (isJson(whole)) return [whole];
  const lines = text.split("\n").flatMap((line, index) => (line.trim() === "" ? [] : [{ line, number: index + 1 }]));
  if (lines.length < 2) throw new TraceFormatError("It is no JSON, or was cut");
  return lines.map(({ line, number }) => {
    const document = parse(line);
    if (isJson(document)) return document;
    throw new TraceFormatError(`It is no JSON, nor lines of JSON: line ${number} is none, or was cut`);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function spansOfResource(resourceSpans: Json): readonly TraceSpan[] {
  const resource = new Map(isJson(resourceSpans.resource) ? attributesOf(resourceSpans.resource) : []);
  const process = resource.get("service.instance.id") ?? resource.get("service.name") ?? "unknown";
  return (listOf(resourceSpans, "scopeSpans") ?? []).flatMap((scope) =>
    (listOf(scope, "spans") ?? []).map((span) => spanOf(span, process)),
  );
}

function spanOf(span: Json, process: string): TraceSpan {
  const parentId = idOf(span.parentSpanId, 16);
  const status = isJson(span.status) ? span.status : {};
  const attributes = attributesOf(span);
  const failed = status.code === 2 || status.code === "STATUS_CODE_ERROR";
  const reason = attributes.find(([name]) => name === "error.type")?.[1] ?? textOf(status.message);
  return {
    ...linkOf(span),
    parentId: parentId === "" ? undefined : parentId,
    name: textOf(span.name),
    process,
    startNanos: nanosOf(span.startTimeUnixNano),
    endNanos: nanosOf(span.endTimeUnixNano),
    attributes,
    links: (listOf(span, "links") ?? []).map(linkOf),
    error: failed ? reason : undefined,
  };
}

function linkOf(link: Json): SpanLink {
  const [traceId, spanId] = [idOf(link.traceId, 32), idOf(link.spanId, 16)];
  if (traceId === "" || spanId === "") throw new TraceFormatError("A span or a link has no trace id or no span id");
  return { traceId, spanId };
}

/** The standard has hexadecimal digits; what is written by protobuf's own rules has base64. */
function idOf(value: unknown, digits: number): string {
  const text = textOf(value);
  if (text.length === digits && /^[0-9a-f]+$/i.test(text)) return text.toLowerCase();
  const hex = Buffer.from(text, "base64").toString("hex");
  return hex.length === digits && !/^0+$/.test(hex) ? hex : "";
}

function nanosOf(value: unknown): bigint {
  const text = typeof value === "number" ? String(value) : textOf(value);
  if (!/^\d+$/.test(text)) throw new TraceFormatError(`"${text}" is no time in nanoseconds`);
  return BigInt(text);
}

/** What Jaeger adds to spans of others. */
const jaegersOwn = "@jaeger@";

function attributesOf(holder: Json): readonly (readonly [string, string])[] {
  return (listOf(holder, "attributes") ?? [])
    .map(({ key, value }) => [textOf(key), valueOf(value)] as const)
    .filter(([name]) => !name.startsWith(jaegersOwn));
}

function valueOf(value: unknown): string {
  if (!isJson(value)) return "";
  if (isJson(value.arrayValue)) return (listOf(value.arrayValue, "values") ?? []).map(valueOf).join(",");
  const [plain] = Object.values(value);
  return textOf(plain);
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function listOf(holder: Json, name: string): readonly Json[] | undefined {
  const list = holder[name];
  return Array.isArray(list) ? list.filter(isJson) : undefined;
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
