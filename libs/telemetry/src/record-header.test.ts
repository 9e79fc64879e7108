import { expect, test } from "vitest";
import { decodeTraceHeader, encodeTraceHeader } from "./index.ts";

const context = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  sampled: true,
  traceState: undefined,
};
const text = (value: string) => new TextEncoder().encode(value);

test("a sampled context comes back from the record header that stores it", () => {
  const header = encodeTraceHeader(context);
  expect(header?.key).toBe("traceparent");
  expect(new TextDecoder().decode(header?.value)).toBe("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  expect(decodeTraceHeader([{ key: "other", value: text("x") }, ...(header === undefined ? [] : [header])])).toEqual(
    context,
  );
});

test("a context that is not sampled is neither stored nor taken from a record", () => {
  expect(encodeTraceHeader({ ...context, sampled: false })).toBeUndefined();
  const value = text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
  expect(decodeTraceHeader([{ key: "traceparent", value }])).toBeUndefined();
});

test.each([
  ["no header", []],
  ["a header without a value", [{ key: "traceparent", value: null }]],
  ["an empty value", [{ key: "traceparent", value: text("") }]],
  ["bytes that are no text", [{ key: "traceparent", value: Uint8Array.of(0xff, 0xfe, 0x00) }]],
  [
    "a value far too long",
    [{ key: "traceparent", value: text(`01-${context.traceId}-${context.spanId}-01-`.padEnd(100_000, "x")) }],
  ],
])("a record with %s has no context", (_, headers) => {
  expect(decodeTraceHeader(headers)).toBeUndefined();
});
