import { describe, expect, test } from "vitest";
import { extractTraceContext, formatTraceparent, injectTraceContext, parseTraceparent } from "./index.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";
const sampled = { traceId, spanId, sampled: true, traceState: undefined };

describe("a traceparent", () => {
  test.each([
    ["sampled", `00-${traceId}-${spanId}-01`, true],
    ["not sampled", `00-${traceId}-${spanId}-00`, false],
    ["sampled, with a flag that is not known yet", `00-${traceId}-${spanId}-03`, true],
    ["not sampled, with flags that are not known yet", `00-${traceId}-${spanId}-fe`, false],
    ["of a later version", `01-${traceId}-${spanId}-01`, true],
    ["of a later version with more in it", `cc-${traceId}-${spanId}-01-what-comes`, true],
  ])("is read when %s", (_, text, isSampled) => {
    expect(parseTraceparent(text)).toEqual({ ...sampled, sampled: isSampled });
  });

  test.each([
    ["nothing", ""],
    ["a version that is forbidden", `ff-${traceId}-${spanId}-01`],
    ["more than version 00 has", `00-${traceId}-${spanId}-01-more`],
    ["a later version with more that is not set off", `01-${traceId}-${spanId}-01more`],
    ["capitals", `00-${traceId.toUpperCase()}-${spanId}-01`],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
    ["a span id of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
    ["a short trace id", `00-${traceId.slice(1)}-${spanId}-01`],
    ["a short span id", `00-${traceId}-${spanId.slice(1)}-01`],
    ["no flags", `00-${traceId}-${spanId}`],
    ["flags of one digit", `00-${traceId}-${spanId}-1`],
    ["other separators", `00_${traceId}_${spanId}_01`],
    ["space around it", ` 00-${traceId}-${spanId}-01`],
    ["a line behind it", `00-${traceId}-${spanId}-01\n`],
    ["a letter that is no hexadecimal digit", `00-${traceId.replace("4", "g")}-${spanId}-01`],
  ])("counts as absent with %s", (_, text) => {
    expect(parseTraceparent(text)).toBeUndefined();
    expect(extractTraceContext({ traceparent: text, tracestate: "a=1" })).toBeUndefined();
  });

  test("is written as it is read", () => {
    for (const text of [`00-${traceId}-${spanId}-01`, `00-${traceId}-${spanId}-00`]) {
      const context = parseTraceparent(text);
      expect(context === undefined ? "" : formatTraceparent(context)).toBe(text);
    }
  });
});

describe("a trace context", () => {
  test("travels through headers whole, with the state of vendors", () => {
    const context = { ...sampled, traceState: "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7" };
    expect(extractTraceContext(injectTraceContext(context))).toEqual(context);
    expect(extractTraceContext(injectTraceContext(sampled))).toEqual(sampled);
    expect(Object.keys(injectTraceContext(sampled))).toEqual(["traceparent"]);
  });

  test("is absent without a traceparent", () => {
    expect(extractTraceContext({})).toBeUndefined();
    expect(extractTraceContext({ tracestate: "a=1" })).toBeUndefined();
  });

  test.each([
    ["is too long", "a=".padEnd(513, "x")],
    ["has control characters", "a=1\r\nx: y"],
    ["is empty", ""],
    ["is not ASCII", "a=é"],
  ])("leaves out a tracestate that %s", (_, tracestate) => {
    expect(extractTraceContext({ traceparent: formatTraceparent(sampled), tracestate })).toEqual(sampled);
  });
});
