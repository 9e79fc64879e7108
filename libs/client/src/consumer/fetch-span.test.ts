import {
  type Attributes,
  INVALID_SPAN_CONTEXT,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  trace,
} from "@opentelemetry/api";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { traceHeader } from "../trace.ts";
import { startFetchSpan } from "./fetch-span.ts";
import type { ConsumedBatch } from "./fetcher.ts";

interface Recorded {
  readonly name: string;
  readonly attributes: Attributes;
  readonly links: Link[];
  status?: SpanStatus;
}

const own: SpanContext = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 };
let ended: Recorded[];
/** Whether the next spans are recorded, one each; then all are. "none": as of a program without telemetry. */
let draws: (boolean | "none")[];

function startSpan(name: string, options: SpanOptions = {}): Span {
  const draw = draws.shift() ?? true;
  const isRecorded = draw === true;
  const recorded: Recorded = { name, attributes: { ...options.attributes }, links: [...(options.links ?? [])] };
  const span = {
    spanContext: () => (draw === "none" ? INVALID_SPAN_CONTEXT : { ...own, traceFlags: isRecorded ? 1 : 0 }),
    isRecording: () => isRecorded,
    setAttribute(key: string, value: string) {
      recorded.attributes[key] = value;
      return span;
    },
    setAttributes(attributes: Attributes) {
      Object.assign(recorded.attributes, attributes);
      return span;
    },
    addLinks(links: Link[]) {
      recorded.links.push(...links);
      return span;
    },
    setStatus(status: SpanStatus) {
      recorded.status = status;
      return span;
    },
    end: () => void ended.push(recorded),
  };
  return span as unknown as Span;
}

beforeAll(() => {
  trace.setGlobalTracerProvider({
    getTracer: () => ({ startSpan, startActiveSpan: () => INVALID_SPAN_CONTEXT as never }),
  });
});
afterAll(() => trace.disable());
beforeEach(() => {
  ended = [];
  draws = [];
});

const { clock } = createManualTime();
const produce = (index: number): SpanContext => ({
  traceId: "c".repeat(32),
  spanId: (index + 1).toString(16).padStart(16, "0"),
  traceFlags: 1,
});

function batch(partition: number, produces: readonly (SpanContext | undefined)[]): ConsumedBatch {
  const records = produces.map((context, index) => ({
    offset: BigInt(index) as never,
    timestamp: 0n,
    key: null,
    value: null,
    headers: context === undefined ? [] : [traceHeader(context)],
  }));
  return { partition, records, highWatermark: 9n, nextOffset: BigInt(records.length) };
}

describe("the span of a fetch", () => {
  test("says what came, and links to each produce once", () => {
    const span = startFetchSpan("t", clock);
    expect(span.traceparent).toBe(`00-${own.traceId}-${own.spanId}-01`);
    span.end([batch(3, [undefined, produce(1), produce(1), produce(2)])], 500, 12);
    expect(ended).toMatchObject([
      {
        name: "tidemark.fetch",
        links: [{ context: produce(1) }, { context: produce(2) }],
        attributes: {
          "messaging.destination.name": "t",
          "messaging.destination.partition.id": "3",
          "messaging.batch.message_count": 4,
          "messaging.message.body.size": 500,
          "tidemark.offset": "0",
          "tidemark.high_watermark": "9",
          "tidemark.waited_ms": 12,
        },
      },
    ]);
  });

  test("is not there where nothing came", () => {
    startFetchSpan("t", clock).end([], 0, 500);
    expect(ended).toEqual([]);
  });

  test("carries 32 links, and counts the others", () => {
    startFetchSpan("t", clock).end(
      [
        batch(
          0,
          Array.from({ length: 40 }, (_, index) => produce(index)),
        ),
      ],
      1,
      1,
    );
    expect(ended[0]?.links).toHaveLength(32);
    expect(ended[0]?.attributes["tidemark.links.dropped"]).toBe(8);
  });

  test("has no offset of its own where several partitions came", () => {
    startFetchSpan("t", clock).end([batch(0, [undefined]), batch(1, [undefined, undefined])], 1, 1);
    expect(ended[0]?.attributes).toMatchObject({ "messaging.batch.message_count": 3, "tidemark.partitions": 2 });
    expect(ended[0]?.attributes).not.toHaveProperty("tidemark.offset");
  });

  test("against which the draw fell is told so to the broker, and drawn anew with what it hands out", () => {
    draws = [false, true];
    const span = startFetchSpan("t", clock);
    expect(span.traceparent).toBe(`00-${own.traceId}-${own.spanId}-00`);
    span.end([batch(0, [produce(7)])], 1, 1);
    expect(ended).toMatchObject([{ links: [{ context: produce(7) }] }]);
  });

  test("is told to nobody where the program has no telemetry", () => {
    draws = ["none"];
    expect(startFetchSpan("t", clock).traceparent).toBeUndefined();
  });

  test("that failed names the reason", () => {
    startFetchSpan("t", clock).fail(new TidemarkError({ reason: Reason.NOT_LEADER, message: "no" }));
    expect(ended).toMatchObject([{ attributes: { "error.type": "REASON_NOT_LEADER" }, status: { code: 2 } }]);
  });
});
