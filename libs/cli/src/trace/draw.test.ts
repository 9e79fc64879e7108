import { describe, expect, test } from "vitest";
import { drawSvg } from "./draw-svg.ts";
import { drawText } from "./draw-text.ts";
import { readOtlp, TraceFormatError } from "./read-otlp.ts";
import { rowsOf } from "./span.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const otherTrace = "0af7651916cd43dd8448eb211c80319c";
const id = (n: number) => n.toString(16).padStart(16, "0");

interface Given {
  readonly span: number;
  readonly parent?: number;
  readonly name: string;
  readonly ms: readonly [from: number, to: number];
  readonly more?: object;
}

function resource(instance: string, ...spans: readonly Given[]) {
  return {
    resource: { attributes: [{ key: "service.instance.id", value: { stringValue: instance } }] },
    scopeSpans: [
      {
        spans: spans.map(({ span, parent, name, ms: [from, to], more }) => ({
          traceId,
          spanId: id(span),
          ...(parent === undefined ? {} : { parentSpanId: id(parent) }),
          name,
          startTimeUnixNano: String(1_000_000_000 + from * 1e6),
          endTimeUnixNano: String(1_000_000_000 + to * 1e6),
          ...more,
        })),
      },
    ],
  };
}

const document = {
  resourceSpans: [
    resource(
      "broker-1",
      { span: 3, parent: 2, name: "flush", ms: [4, 9], more: { status: { code: 2 } } },
      { span: 2, parent: 1, name: "broker produce", ms: [1, 10] },
    ),
    resource("gateway-1", {
      span: 1,
      parent: 99,
      name: "gateway route",
      ms: [0, 10],
      more: {
        links: [{ traceId: otherTrace, spanId: id(7) }],
        attributes: [{ key: "tidemark.leader", value: { intValue: "1" } }],
      },
    }),
  ],
};
const spans = readOtlp(JSON.stringify(document));

describe("a trace in text", () => {
  test("has a line for each span below its parent, when it began, how long it took, and where in the whole", () => {
    expect(drawText(spans, { width: 76, withAttributes: false })).toEqual([
      `trace ${traceId}: 3 spans of 2 processes, 10.0 ms`,
      "gateway route     gateway-1  0.00 ms  10.0 ms  #############################",
      `  -> links to ${otherTrace} ${id(7)}`,
      "  broker produce  broker-1   1.00 ms  9.00 ms    ##########################",
      "    flush         broker-1   4.00 ms  5.00 ms             ###############",
      "      ! failed",
    ]);
  });

  test("shows attributes where they are asked for", () => {
    expect(drawText(spans, { width: 76, withAttributes: true })).toContain("  tidemark.leader=1");
  });
});

test("an SVG has a bar for each span, and what people wrote in it is text", () => {
  const [first, ...rest] = spans;
  if (first === undefined) throw new Error("no spans");
  const svg = drawSvg([[{ ...first, name: "<script>" }, ...rest]]);
  expect(svg.match(/<rect /g)).toHaveLength(1 + spans.length);
  expect(svg).not.toContain("<script>");
  expect(svg).toContain("&#60;script&#62;");
});

describe("what is read", () => {
  test("is the same from one document, from lines, and from what Jaeger answers; ids may be base64", () => {
    const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
    const rewritten = JSON.stringify(document).replaceAll(
      /"([0-9a-f]{32}|[0-9a-f]{16})"/g,
      (_, hex: string) => `"${base64(hex)}"`,
    );
    expect(readOtlp(JSON.stringify({ result: document }))).toEqual(spans);
    expect(readOtlp(`${JSON.stringify(document)}\n${JSON.stringify(document)}\n`)).toEqual(spans);
    expect(readOtlp(rewritten)).toEqual(spans);
  });

  test.each([
    ["no JSON", "what is this"],
    ["something else", '{"data":[]}'],
    ["a span without an id", JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ name: "x" }] }] }] })],
    ["a time that is none", JSON.stringify(document).replaceAll(/"1\d{9}"/g, '"soon"')],
  ])("is refused where it is %s", (_, text) => {
    expect(() => readOtlp(text)).toThrow(TraceFormatError);
  });

  test("is drawn once even where spans are each other's parents", () => {
    const circle = spans.map((span, index) => ({ ...span, parentId: spans[(index + 1) % spans.length]?.spanId }));
    expect(
      rowsOf(circle)
        .map(({ span }) => span.spanId)
        .sort(),
    ).toEqual(spans.map(({ spanId }) => spanId).sort());
  });
});
