import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { emptyResource } from "@opentelemetry/resources";
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import {
  attributeNames,
  createDisabledTracer,
  createTracer,
  formatTraceparent,
  maxLinks,
  parseTraceparent,
  type SamplingPolicy,
  spanNames,
  type TraceContext,
} from "./index.ts";
import { isolatedProviders } from "./providers.ts";

const wallStartMs = 1_700_000_000_000;
const caller: TraceContext = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  sampled: true,
  traceState: "vendor=1",
};
const other = (index: number): TraceContext => ({
  traceId: caller.traceId,
  spanId: (index + 1).toString(16).padStart(16, "0"),
  sampled: true,
  traceState: undefined,
});

function tracerWithMemory(sampling: SamplingPolicy = { followsParent: true, ratio: 1 }) {
  const time = createManualTime(wallStartMs);
  let wallShiftMs = 0;
  const exporter = new InMemorySpanExporter();
  const tracer = createTracer({
    clock: { monotonicMs: () => time.clock.monotonicMs(), wallMs: () => time.clock.wallMs() + wallShiftMs },
    random: createSeededRandom(1),
    sampling,
    providers: isolatedProviders(emptyResource()),
    processor: new SimpleSpanProcessor({ exporter }),
  });
  const setWall = (byMs: number) => {
    wallShiftMs = byMs;
  };
  return { time, tracer, setWall, spans: () => exporter.getFinishedSpans() };
}
const toMs = ([seconds, nanos]: readonly [number, number]) => seconds * 1000 + nanos / 1e6 - wallStartMs;

describe("a span", () => {
  test.each([3_600_000, -3_600_000])("lasts as long as it did while the wall clock was set by %d ms", async (byMs) => {
    const { time, tracer, setWall, spans } = tracerWithMemory();
    const span = tracer.start({ name: spanNames.brokerProduce, parent: undefined });
    await time.advance(10);
    setWall(byMs);
    span.event("set");
    span.end();
    expect(spans()[0]?.duration).toEqual([0, 10_000_000]);
    expect(toMs(spans()[0]?.events[0]?.time ?? [0, 0])).toBe(10);
  });

  test("recorded after the fact has the parent, times, kind and attributes it is given", () => {
    const { tracer, spans } = tracerWithMemory();
    const context = tracer.record({
      name: spanNames.append,
      kind: "consumer",
      parent: caller,
      startMs: 10.25,
      endMs: 12.5,
      attributes: {
        [attributeNames.topic]: "t",
        [attributeNames.baseOffset]: 7n,
        [attributeNames.offset]: 2n ** 60n,
        [attributeNames.isr]: [1, 2],
        [attributeNames.acks]: undefined,
      },
    });
    const [span] = spans();
    expect(span?.name).toBe("append");
    expect(span?.kind).toBe(SpanKind.CONSUMER);
    expect(span?.parentSpanContext?.spanId).toBe(caller.spanId);
    expect(context).toMatchObject({ traceId: caller.traceId, spanId: span?.spanContext().spanId, sampled: true });
    expect([toMs(span?.startTime ?? [0, 0]), toMs(span?.endTime ?? [0, 0])]).toEqual([10.25, 12.5]);
    expect(span?.attributes).toEqual({
      "messaging.destination.name": "t",
      "tidemark.base_offset": 7,
      "tidemark.offset": "1152921504606846976",
      "tidemark.isr": [1, 2],
    });
  });

  test("under way takes its times from the clock, and its children its context", async () => {
    const { time, tracer, spans } = tracerWithMemory();
    const parent = tracer.start({ name: spanNames.brokerProduce, kind: "server", parent: undefined });
    await time.advance(5);
    parent.event("refused", { [attributeNames.attempt]: 2 });
    tracer.record({ name: spanNames.ack, parent: parent.context, startMs: 1, endMs: 2 });
    parent.set({ [attributeNames.outcome]: "APPLIED" });
    await time.advance(5);
    parent.end();
    const [ack, produce] = spans();
    expect(ack?.parentSpanContext?.spanId).toBe(produce?.spanContext().spanId);
    expect(ack?.spanContext().traceId).toBe(produce?.spanContext().traceId);
    expect(produce?.parentSpanContext).toBeUndefined();
    expect([toMs(produce?.startTime ?? [0, 0]), toMs(produce?.endTime ?? [0, 0])]).toEqual([0, 10]);
    expect(produce?.events.map(({ name, time: at }) => [name, toMs(at)])).toEqual([["refused", 5]]);
    expect(produce?.attributes["tidemark.outcome"]).toBe("APPLIED");
  });

  test("that failed says why", () => {
    const { tracer, spans } = tracerWithMemory();
    tracer.record({ name: spanNames.flush, parent: caller, startMs: 0, endMs: 1, error: "DISK_FAILED" });
    expect(spans()[0]?.status).toEqual({ code: SpanStatusCode.ERROR, message: "DISK_FAILED" });
    expect(spans()[0]?.attributes["error.type"]).toBe("DISK_FAILED");
  });

  test("passes the state of vendors on to those who work for it", () => {
    const { tracer, spans } = tracerWithMemory();
    expect(tracer.record({ name: spanNames.ack, parent: caller }).traceState).toBe("vendor=1");
    expect(spans()[0]?.spanContext().traceState?.serialize()).toBe("vendor=1");
  });

  test("carries 32 links, the first ones, and counts the rest, given at its start or later", () => {
    const { tracer, spans } = tracerWithMemory();
    const links = Array.from({ length: 30 }, (_, index) => other(index));
    const span = tracer.start({ name: spanNames.replicaFetch, parent: undefined, links });
    for (let index = 30; index < 40; index++) span.link(other(index));
    span.end();
    tracer.record({
      name: spanNames.replicaFetch,
      parent: undefined,
      links: Array.from({ length: 50 }, (_, index) => other(index)),
    });
    for (const [at, dropped] of [
      [0, 8],
      [1, 18],
    ] as const) {
      expect(spans()[at]?.links.map(({ context }) => context.spanId)).toEqual(
        Array.from({ length: maxLinks }, (_, index) => other(index).spanId),
      );
      expect(spans()[at]?.attributes["tidemark.links.dropped"]).toBe(dropped);
    }
  });

  test("with no more links than it carries counts none", () => {
    const { tracer, spans } = tracerWithMemory();
    tracer.record({ name: spanNames.fetch, parent: undefined, links: Array.from({ length: 32 }, (_, i) => other(i)) });
    expect(spans()[0]?.links).toHaveLength(32);
    expect(spans()[0]?.attributes).toEqual({});
  });

  test("of a caller that is not sampled begins a trace and links to it: its parent would be nowhere", () => {
    const { tracer, spans } = tracerWithMemory();
    tracer.record({ name: spanNames.election, parent: { ...caller, sampled: false } });
    expect(spans()[0]?.parentSpanContext).toBeUndefined();
    expect(spans()[0]?.spanContext().traceId).not.toBe(caller.traceId);
    expect(spans()[0]?.links.map(({ context }) => context.spanId)).toEqual([caller.spanId]);
  });

  test("does nothing after its end", () => {
    const { tracer, spans } = tracerWithMemory();
    const span = tracer.start({ name: spanNames.decide, parent: undefined });
    span.end({ endMs: 3 });
    span.set({ [attributeNames.rule]: "late" });
    span.event("late");
    span.link(other(1));
    span.end({ endMs: 9, error: "late" });
    expect(spans()).toHaveLength(1);
    expect(spans()[0]).toMatchObject({ attributes: {}, events: [], links: [], status: { code: SpanStatusCode.UNSET } });
    expect(toMs(spans()[0]?.endTime ?? [0, 0])).toBe(3);
  });
});

describe("a tracer", () => {
  test("draws the same ids from the same seed", () => {
    const draw = () => {
      const { tracer, spans } = tracerWithMemory();
      tracer.record({ name: spanNames.ack, parent: undefined });
      return spans()[0]?.spanContext().traceId;
    };
    expect(draw()).toBe(draw());
  });

  test("tells those it calls that a call is not recorded, by a context of its own, which a span of it takes on", () => {
    const { tracer, spans } = tracerWithMemory();
    const [first, second] = [tracer.unsampled(), tracer.unsampled()];
    for (const context of [first, second])
      expect(parseTraceparent(formatTraceparent(context))).toEqual({ ...context, sampled: false });
    expect(second.traceId).not.toBe(first.traceId);
    expect(second.spanId).not.toBe(first.spanId);
    const context = tracer.record({ name: spanNames.gatewayRoute, parent: undefined, told: first });
    expect(context).toEqual({ ...first, sampled: true });
    tracer.record({ name: spanNames.gatewayRoute, parent: { ...caller, sampled: false }, told: second });
    tracer.record({ name: spanNames.gatewayRoute, parent: undefined });
    const recorded = spans().map((span) => span.spanContext());
    expect(recorded.slice(0, 2)).toMatchObject([first, second].map(({ traceId, spanId }) => ({ traceId, spanId })));
    expect([first.traceId, second.traceId]).not.toContain(recorded[2]?.traceId);
  });

  test.each([0, 1e-7, 0.5, 0.999999])(
    "tells them contexts that no sampler by trace id takes, of the ratio %d",
    (ratio) => {
      const { tracer } = tracerWithMemory({ followsParent: false, ratio });
      for (let call = 0; call < 1000; call++) expect(tracer.samples(tracer.unsampled())).toBe(false);
    },
  );

  test("that is disabled records nothing, passes the caller's context on, and samples nobody", () => {
    const tracer = createDisabledTracer(createSeededRandom(1));
    expect(tracer.enabled).toBe(false);
    expect(tracer.samples(caller)).toBe(false);
    expect(tracer.start({ name: spanNames.ack, parent: caller }).context).toBe(caller);
    expect(tracer.record({ name: spanNames.ack, parent: caller })).toBe(caller);
    const span = tracer.start({ name: spanNames.ack, parent: undefined });
    span.event("nothing");
    span.end();
    expect(span.context).toBe(tracer.unsampled());
  });
});

test("every span and attribute name is unlike the others", () => {
  for (const names of [Object.values<string>(spanNames), Object.values<string>(attributeNames)]) {
    expect(new Set(names).size).toBe(names.length);
  }
});

test("every attribute is of a convention or of tidemark", () => {
  for (const name of Object.values(attributeNames))
    expect(name).toMatch(/^(messaging|server|error|tidemark)\.[a-z_.]+$/);
});
