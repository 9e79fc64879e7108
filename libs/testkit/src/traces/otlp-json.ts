import type { Attributes, AttributeValue, ReceivedSpan } from "../otlp-decode.ts";

type Json = Readonly<Record<string, unknown>>;

const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
const statusError = 2;

/** Spans of OTLP's JSON form below `result`, as Jaeger answers: one document, or one for each line. */
export function readJaegerTraces(text: string): readonly ReceivedSpan[] {
  return documents(text).flatMap((document) =>
    list((document["result"] ?? document) as Json, "resourceSpans").flatMap((resourceSpans) => {
      const resource = attributesOf((resourceSpans["resource"] ?? {}) as Json);
      return list(resourceSpans, "scopeSpans").flatMap((scope) =>
        list(scope, "spans").map((span) => toSpan(span, resource)),
      );
    }),
  );
}

function documents(text: string): readonly Json[] {
  try {
    return [JSON.parse(text) as Json];
  } catch {
    return text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => JSON.parse(line) as Json);
  }
}

function toSpan(span: Json, resource: Attributes): ReceivedSpan {
  const status = (span["status"] ?? {}) as Json;
  const text = (name: string) => textOf(span[name]);
  return {
    name: text("name"),
    kind: kinds[Number(span["kind"] ?? 0)] ?? "unspecified",
    traceId: text("traceId"),
    spanId: text("spanId"),
    parentSpanId: text("parentSpanId") || undefined,
    startNanos: BigInt(text("startTimeUnixNano")),
    endNanos: BigInt(text("endTimeUnixNano")),
    attributes: attributesOf(span),
    links: list(span, "links").map((link) => ({
      traceId: String(link["traceId"]),
      spanId: String(link["spanId"]),
      attributes: attributesOf(link),
    })),
    events: list(span, "events").map((event) => ({
      name: String(event["name"]),
      nanos: BigInt(String(event["timeUnixNano"])),
      attributes: attributesOf(event),
    })),
    error: Number(status["code"] ?? 0) === statusError ? textOf(status["message"]) : undefined,
    resource,
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function attributesOf(holder: Json): Attributes {
  return Object.fromEntries(list(holder, "attributes").map(({ key, value }) => [String(key), valueOf(value as Json)]));
}

function valueOf(value: Json): AttributeValue {
  const [kind, plain] = Object.entries(value)[0] ?? [];
  switch (kind) {
    case "intValue":
      return Number.isSafeInteger(Number(plain)) ? Number(plain) : BigInt(String(plain));
    case "arrayValue":
      return list(plain as Json, "values").map(valueOf);
    default:
      return plain as AttributeValue;
  }
}

function list(holder: Json, name: string): readonly Json[] {
  return (holder[name] ?? []) as readonly Json[];
}
