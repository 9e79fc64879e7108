import { topicId } from "@tidemark/ids";
import type { CallContext } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { attributeNames, parseTraceparent } from "@tidemark/telemetry";
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
      [attributeNames.staleMetadata]: true,
    });
    expect(parseTraceparent(second.headers.traceparent ?? "")?.spanId).toBe(spans[1]?.context.spanId);
    expect(Buffer.from(trace.recordHeader?.value ?? []).toString()).toBe(sampled);
  });

  it("begins at the first try where the caller brings none, and is one trace", () => {
    const { tracer, spans } = createSpanRecorder();
    const trace = beginRouteTrace(tracer, clock, call());
    for (const number of [1, 2]) trace.attempt(attempt(number), partition).end();
    trace.end();
    expect(spans.map(({ parent }) => parent?.spanId)).toEqual([undefined, spans[0]?.context.spanId]);
    expect(Buffer.from(trace.recordHeader?.value ?? []).toString()).toContain(spans[0]?.context.spanId);
  });

  it("ends also where nothing was tried", () => {
    const { tracer, spans } = createSpanRecorder();
    beginRouteTrace(tracer, clock, call()).end();
    expect(spans.map(({ ends }) => ends.length)).toEqual([1]);
  });

  it.each([
    { says: "an unsampled caller's own", traceparent: unsampled, told: unsampled },
    { says: "that it was drawn once", traceparent: undefined, told: `00-${"b".repeat(32)}-${"b".repeat(16)}-00` },
  ])("is not recorded for who is not sampled, and tells leaders $says", ({ traceparent, told }) => {
    const { tracer, spans } = createSpanRecorder(false);
    const trace = beginRouteTrace(tracer, clock, call(traceparent));
    expect(trace.attempt(attempt(1), partition).headers.traceparent).toBe(told);
    expect(trace.recordHeader).toBeUndefined();
    expect(spans).toEqual([]);
  });
});
