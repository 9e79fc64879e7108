import { topicId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { type CallContext, TidemarkError } from "@tidemark/rpc";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { attributeNames, createDisabledTracer, parseTraceparent } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { createSpanRecorder } from "../testing/span-recorder.ts";
import { beginRouteTrace } from "./route-trace.ts";

const { clock } = createManualTime();
const sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const partition = { topic: "orders", topicId: topicId("aaaaaaaa-0000-4000-8000-000000000001"), partition: 3 };
const attempt = (number: number) => ({ number, route: { broker: 2, endpoint: "x:1", leaderEpoch: 7 } });
const call = (traceparent?: string) => ({ traceparent, tracestate: undefined }) as CallContext;

describe("the trace of a produce", () => {
  it("has a span for each try, below the caller's, and stores the caller's with the batch", () => {
    const { tracer, spans } = createSpanRecorder();
    const trace = beginRouteTrace(tracer, clock, call(sampled));
    const first = trace.attempt(attempt(1), partition);
    first.end("REASON_NOT_LEADER");
    const second = trace.attempt(attempt(2), partition);
    second.end();
    trace.end();
    expect(spans.map(({ name, parent }) => [name, parent?.spanId])).toEqual([
      ["gateway route", "00f067aa0ba902b7"],
      ["gateway route", "00f067aa0ba902b7"],
    ]);
    expect(spans.map(({ ends }) => ends)).toEqual([["REASON_NOT_LEADER"], [undefined]]);
    expect(spans[1]?.attributes).toMatchObject({
      [attributeNames.topic]: "orders",
      [attributeNames.partition]: "3",
      [attributeNames.leader]: 2,
      [attributeNames.leaderEpoch]: 7,
      [attributeNames.attempt]: 2,
    });
    expect(parseTraceparent(second.headers.traceparent ?? "")?.spanId).toBe(spans[1]?.context.spanId);
    expect(Buffer.from(trace.recordHeader?.value ?? []).toString()).toBe(sampled);
  });

  it.each([
    { error: "REASON_NOT_LEADER", isStale: true },
    { error: "REASON_UNKNOWN_TOPIC_ID", isStale: true },
    { error: "REASON_NOT_ENOUGH_REPLICAS", isStale: false },
    { error: "REASON_UNAVAILABLE", isStale: false },
    { error: undefined, isStale: false },
  ])("says of each try alone whether its leader refused the route: $error", ({ error, isStale }) => {
    const sampling = createSpanRecorder();
    const failing = createSpanRecorder(false);
    for (const [{ tracer, spans }, traceparent] of [
      [sampling, sampled],
      [failing, unsampled],
    ] as const) {
      const trace = beginRouteTrace(tracer, clock, call(traceparent));
      trace.attempt(attempt(1), partition).end(error);
      trace.attempt(attempt(2), partition).end("REASON_UNAVAILABLE");
      const told = spans.map(({ attributes }) => attributes[attributeNames.staleMetadata]);
      // Of who is not sampled a try that went well is no span.
      expect(told).toEqual(spans.length === 1 ? [false] : [isStale, false]);
    }
  });

  it("begins at the first try where the caller brings none, and is one trace", () => {
    const { tracer, spans } = createSpanRecorder();
    const trace = beginRouteTrace(tracer, clock, call());
    for (const number of [1, 2]) trace.attempt(attempt(number), partition).end();
    trace.end();
    expect(spans.map(({ parent }) => parent?.spanId)).toEqual([undefined, spans[0]?.context.spanId]);
    expect(Buffer.from(trace.recordHeader?.value ?? []).toString()).toContain(spans[0]?.context.spanId);
  });

  it("has its root last until the tries below it are over, and end once, with its own error", () => {
    const { tracer, spans } = createSpanRecorder();
    const trace = beginRouteTrace(tracer, clock, call());
    trace.attempt(attempt(1), partition).end("REASON_NOT_LEADER");
    expect(spans[0]?.ends).toEqual([]);
    trace.attempt(attempt(2), partition).end();
    expect(spans.map(({ ends }) => ends)).toEqual([[], [undefined]]);
    trace.end();
    expect(spans.map(({ ends }) => ends)).toEqual([["REASON_NOT_LEADER"], [undefined]]);
  });

  it("ends also where nothing was tried", () => {
    const { tracer, spans } = createSpanRecorder();
    beginRouteTrace(tracer, clock, call()).end();
    expect(spans.map(({ ends }) => ends.length)).toEqual([1]);
  });

  it.each([
    { says: "an unsampled caller's own", traceparent: unsampled, told: unsampled },
    { says: "that it was drawn once", traceparent: undefined, told: expect.stringMatching(/-00$/) as string },
  ])("is not recorded for who is not sampled, and tells leaders $says", ({ traceparent, told }) => {
    const { tracer, spans } = createSpanRecorder(false);
    const trace = beginRouteTrace(tracer, clock, call(traceparent));
    expect(trace.attempt(attempt(1), partition).headers.traceparent).toEqual(told);
    expect(trace.recordHeader).toBeUndefined();
    trace.attempt(attempt(1), partition).end();
    trace.end();
    expect(spans).toEqual([]);
  });
});

describe("a gateway that records nothing", () => {
  const tracer = createDisabledTracer(createSeededRandom(1));

  it("passes a sampled caller's trace on to leaders, and stores it with the batch", () => {
    const trace = beginRouteTrace(tracer, clock, call(sampled));
    expect(trace.attempt(attempt(1), partition).headers.traceparent).toBe(sampled);
    expect(Buffer.from(trace.recordHeader?.value ?? []).toString()).toBe(sampled);
  });

  it.each([unsampled, undefined])("stores nothing of a caller who is not sampled", (traceparent) => {
    expect(beginRouteTrace(tracer, clock, call(traceparent)).recordHeader).toBeUndefined();
  });
});

it("stores no trace of a caller whom it decided not to record", () => {
  const { tracer } = createSpanRecorder();
  const trace = beginRouteTrace({ ...tracer, samples: () => false }, clock, call(sampled));
  expect(trace.recordHeader).toBeUndefined();
});

const unknownTopic = new TidemarkError({ reason: Reason.UNKNOWN_TOPIC, message: "There is no topic orders" });
const refusal = { topic: "orders", error: unknownTopic };

describe("a produce that is not sampled and fails", () => {
  it("is a span of its own for the try that failed, linked to its caller, while failures are still recorded", () => {
    const { tracer, spans } = createSpanRecorder(false);
    const trace = beginRouteTrace(tracer, clock, call(unsampled));
    const first = trace.attempt(attempt(1), partition);
    expect(first.headers.traceparent).toBe(unsampled);
    first.end("REASON_NOT_LEADER");
    trace.attempt(attempt(2), partition).end();
    trace.end();
    expect(spans).toMatchObject([
      {
        name: "gateway route",
        // The tracer makes a link of a parent that nobody recorded.
        parent: { sampled: false, spanId: "00f067aa0ba902b7" },
        ends: ["REASON_NOT_LEADER"],
        attributes: { [attributeNames.topic]: "orders", [attributeNames.leader]: 2, [attributeNames.attempt]: 1 },
      },
    ]);
  });

  it("is, without a caller's trace, for each try the span to which leaders can link what they record of it", () => {
    const { tracer, spans } = createSpanRecorder(false);
    const trace = beginRouteTrace(tracer, clock, call());
    const told = [1, 2].map((number) => {
      const { headers, end } = trace.attempt(attempt(number), partition);
      end("REASON_NOT_LEADER");
      return parseTraceparent(headers.traceparent ?? "");
    });
    expect(told).toMatchObject([{ sampled: false }, { sampled: false }]);
    expect(spans.map(({ context }) => context)).toEqual(told.map((context) => ({ ...context, sampled: true })));
    expect(told[0]?.traceId).not.toBe(told[1]?.traceId);
  });

  it("is nothing beyond the rate at which failures are recorded", () => {
    const { tracer, spans } = createSpanRecorder(false);
    const trace = beginRouteTrace({ ...tracer, samplesError: () => false }, clock, call(unsampled));
    trace.attempt(attempt(1), partition).end("REASON_NOT_LEADER");
    expect(beginRouteTrace({ ...tracer, samplesError: () => false }, clock, call()).refuse(refusal)).toBeUndefined();
    expect(spans).toEqual([]);
  });
});

describe("a produce that is refused before any leader is tried", () => {
  it.each([
    { says: "below its caller", traceparent: sampled, parent: { spanId: "00f067aa0ba902b7" } },
    { says: "as the root that it began with", traceparent: undefined, parent: undefined },
    { says: "alone where it is not sampled", traceparent: unsampled, parent: { sampled: false } },
  ])("is one span that names the error, $says", ({ traceparent, parent }) => {
    const { tracer, spans } = createSpanRecorder();
    const trace = beginRouteTrace(tracer, clock, call(traceparent));
    const told = trace.refuse(refusal);
    trace.end();
    expect(spans).toHaveLength(1);
    expect(spans[0]?.ends[0]).toBe("REASON_UNKNOWN_TOPIC");
    expect(spans[0]?.attributes).toMatchObject({ [attributeNames.topic]: "orders" });
    if (parent === undefined) expect(spans[0]?.parent).toBeUndefined();
    else expect(spans[0]?.parent).toMatchObject(parent);
    expect(told?.spanId).toBe(spans[0]?.context.spanId);
  });

  it("is no second span where a leader was tried: that try says what went wrong", () => {
    const { tracer, spans } = createSpanRecorder();
    for (const traceparent of [sampled, unsampled]) {
      const trace = beginRouteTrace(tracer, clock, call(traceparent));
      trace.attempt(attempt(1), partition).end("REASON_UNKNOWN_TOPIC");
      expect(trace.refuse(refusal)).toBeUndefined();
      trace.end();
    }
    expect(spans.map(({ ends }) => ends)).toEqual([["REASON_UNKNOWN_TOPIC"], ["REASON_UNKNOWN_TOPIC"]]);
  });
});
