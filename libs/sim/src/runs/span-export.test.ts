import { loadCodecs } from "@tidemark/compression";
import type { KeptSpan } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { drawPlan } from "./plan.ts";
import { simulate } from "./simulate.ts";
import { createSpanExport } from "./span-export.ts";

const { codecs } = await loadCodecs();
const instanceOf = (span: KeptSpan) => span.resource.attributes["service.instance.id"];

interface Document {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly { readonly spanId: string; readonly name: string }[] }[];
  }[];
}

test("a run's spans are those of its services, from an election to the new leader, the file holds each of them once, and who looks changes nothing", async () => {
  const kept: KeptSpan[] = [];
  const lines: string[] = [];
  const spans = createSpanExport((line) => lines.push(line), "run.jsonl");
  const take = (span: KeptSpan) => {
    kept.push(span);
    spans.take(span);
  };
  const bounds = { replicationFactor: 3, durationMs: 3000, scenario: "quickLeaderChanges" } as const;
  const result = await simulate(1, (random) => drawPlan(random, bounds), codecs, take);
  expect(result.violations).toEqual([]);
  expect(await simulate(1, (random) => drawPlan(random, bounds), codecs)).toEqual(result);

  const byId = new Map(kept.map((span) => [span.spanContext().spanId, span]));
  const parentOf = (span: KeptSpan) => byId.get(span.parentSpanContext?.spanId ?? "");
  // A span of a process that was killed before its end is missing, as it is in a cluster.
  const became = kept.filter((span) => span.name === "become leader" && parentOf(span) !== undefined);
  expect(became.length).toBeGreaterThan(0);
  for (const span of became) {
    expect(parentOf(span)?.name).toBe("partition");
    expect(instanceOf(parentOf(span) ?? span)).toMatch(/^controller-/);
    expect(instanceOf(span)).toMatch(/^broker-/);
  }
  const received = kept.filter((span) => span.name === "replica receive" && parentOf(span) !== undefined);
  expect(received.length).toBeGreaterThan(0);
  for (const span of received) expect(instanceOf(parentOf(span) ?? span)).not.toBe(instanceOf(span));

  const told = spans.end();
  const written = lines
    .map((line) => JSON.parse(line) as Document)
    .flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans)),
    );
  expect(written.length).toBe(kept.length);
  expect(new Set(written.map(({ spanId }) => spanId))).toEqual(new Set(byId.keys()));
  const roots = kept.filter((span) => span.name === "election" && span.parentSpanContext === undefined);
  expect(roots.length).toBeGreaterThan(0);
  for (const root of roots.slice(0, 3)) expect(told).toContain(`${root.spanContext().traceId}  election`);
});
