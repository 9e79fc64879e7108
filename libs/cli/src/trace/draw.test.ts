import { describe, expect, test } from "vitest";
import { drawSvg } from "./draw-svg.ts";
import { drawText } from "./draw-text.ts";
import { treesOf } from "./explain/tree.ts";
import { readOtlp, TraceFormatError } from "./read-otlp.ts";
import { depthMax, rowsOf, type TraceSpan } from "./span.ts";

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

describe("what somebody wrote into a span", () => {
  const hostile = 'a\u001b[2J\r\n\u0000b\u009b\u202e\ud800\uffffc <tag> & "quote" é 日本 😀';
  const shown = String.raw`a\u001b[2J\u000d\u000a\u0000b\u009b\u202e\ud800\uffffc <tag> & "quote" é 日本 😀`;
  const written: TraceSpan = {
    traceId,
    spanId: id(1),
    parentId: undefined,
    name: hostile,
    process: hostile,
    startNanos: 0n,
    endNanos: 1_000_000n,
    attributes: [[hostile, hostile]],
    links: [],
    error: hostile,
  };

  test("moves no cursor of a terminal and begins no line", () => {
    const lines = drawText([written], { width: 200, withAttributes: true });
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/^[^\p{Cc}\p{Cs}\u202e]*$/u);
    expect(lines[1]).toContain(`${shown}  ${shown}`);
    expect(lines[2]).toBe(`  ! ${shown}`);
    expect(lines[3]).toBe(`  ${shown}=${shown}`);
  });

  test("ends no element of an SVG, and is nothing that XML forbids", () => {
    const svg = drawSvg([[written]]);
    // What XML 1.0 allows, and of that no break but between the lines of the drawing.
    expect(svg).toMatch(/^[\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u);
    expect(svg).not.toContain("<tag>");
    expect(svg.match(/&(?!#(?:38|60|62|34);)/g)).toBeNull();
    expect(svg).toContain(String.raw`a\u001b[2J`);
    expect(svg).toContain("é 日本 😀");
  });
});

describe("a trace of very many spans", () => {
  const many = 150_000;
  const spanOf = (index: number, parentId: string | undefined): TraceSpan => ({
    traceId,
    spanId: id(index),
    parentId,
    name: "partition",
    process: "controller-1",
    startNanos: BigInt(index),
    endNanos: BigInt(index + 1),
    attributes: [],
    links: [],
    error: undefined,
  });

  test("side by side is drawn in full, as an election of all partitions is", () => {
    const wide = Array.from({ length: many }, (_, index) => spanOf(index, index === 0 ? undefined : id(0)));
    expect(drawText(wide, { width: 80, withAttributes: false })).toHaveLength(many + 1);
    const [tree] = treesOf(wide);
    expect(wide[0] && tree?.childrenOf(wide[0])).toHaveLength(many - 1);
  });

  test("each below the one before is drawn in full, and not without end to the right", () => {
    const deep = Array.from({ length: many }, (_, index) => spanOf(index, index === 0 ? undefined : id(index - 1)));
    const rows = rowsOf(deep);
    expect(rows.map(({ span }) => span)).toEqual(deep);
    expect(rows[3]?.depth).toBe(3);
    expect(rows.at(-1)?.depth).toBe(depthMax);
  });
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
