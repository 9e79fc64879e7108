import { expect, test } from "vitest";
import { createExemplars } from "./exemplars.ts";
import { toOpenMetrics, wantsOpenMetrics } from "./open-metrics.ts";

const clock = { monotonicMs: () => 0, wallMs: () => 1_700_000_000_000 };
const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, traceState: undefined };

test.each([
  ["Prometheus", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true],
  ["one who names the format alone", "application/openmetrics-text", true],
  ["one who shouts and spaces out", "Text/Plain;q=0.1, Application/OpenMetrics-Text; version=0.0.1", true],
  ["one who wants the older format more", "application/openmetrics-text;q=0.3,text/plain;q=0.5", false],
  ["one who wants none of it", "application/openmetrics-text;q=0", false],
  ["one who knows a later version only", "application/openmetrics-text;version=2.0.0", false],
  ["one whose weight is no number", "application/openmetrics-text;q=much", false],
  ["curl", "*/*", false],
  ["a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false],
  ["one who says nothing", undefined, false],
])("OpenMetrics goes to who wants it: %s", (_, accept, wants) => {
  expect(wantsOpenMetrics(accept)).toBe(wants);
});

test("a label with all that has to be escaped finds its exemplar", () => {
  const exemplars = createExemplars(clock);
  const odd = 'a"b\\c\nd,le="1"}';
  exemplars.note({ histogram: "x_seconds", labels: { odd }, boundaries: [1], value: 1, trace });
  const line = 'x_seconds_bucket{odd="a\\"b\\\\c\\nd,le=\\"1\\"}",le="1"} 1';
  const told = toOpenMetrics(`# TYPE x_seconds histogram\n${line}\n`, exemplars);
  expect(told).toContain(',le="1.0"} 1 # {trace_id=');
  expect(told).toContain('odd="a\\"b\\\\c\\nd,le=\\"1\\"}"');
});

test("a value stands in the bucket that Prometheus counts it in: its upper end belongs to it", () => {
  const exemplars = createExemplars(clock);
  for (const value of [0.5, 1, 1.5, 7]) {
    exemplars.note({ histogram: "x_seconds", labels: {}, boundaries: [1, 2], value, trace });
  }
  const values = ["1", "2", "+Inf"].map((le) => exemplars.find("x_seconds", { le })?.value);
  expect(values).toEqual([1, 1.5, 7]);
});

test("a label that grows does not fill the memory, and those that were there go on", () => {
  const exemplars = createExemplars(clock);
  const note = (topic: number, value: number) =>
    exemplars.note({ histogram: "x_seconds", labels: { topic }, boundaries: [1], value, trace });
  for (let topic = 0; topic < 10_000; topic++) note(topic, 0.5);
  note(0, 0.25);
  const found = Array.from({ length: 10_000 }, (_, topic) =>
    exemplars.find("x_seconds", { topic: `${topic}`, le: "1" }),
  );
  expect(found.filter((each) => each !== undefined).length).toBe(2000);
  expect(found[0]?.value).toBe(0.25);
});
