/** Which produces and fetches of a leader become spans, and what those say of calls that failed. */
import { create } from "@bufbuild/protobuf";
import { encodeRecords } from "@tidemark/format";
import {
  FetchRequestSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  RecordSchema,
  SubscribeRequestSchema,
} from "@tidemark/proto/log/v1";
import { portableCrc32c } from "@tidemark/record";
import { createManualTime, createSeededRandom, type ManualTime } from "@tidemark/runtime";
import { type KeptSpan, startTelemetry, traceIdTrailer } from "@tidemark/telemetry";
import { beforeEach, describe, expect, it } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";
const sampled = `00-${traceId}-${spanId}-01`;
const unsampled = `00-${traceId}-${spanId}-00`;

let time: ManualTime;
let bench: BrokerBench;
let spans: KeptSpan[];
let trailers: string[];

/** A leader of `t-0` whose spans are kept. `sampler`: of what begins here, and of what callers say. */
async function start(sampler = "parentbased_always_off") {
  time = createManualTime();
  spans = [];
  trailers = [];
  const { tracer } = await startTelemetry({
    service: "tidemark-broker",
    instanceId: "broker-1",
    runtime: { ...time, random: createSeededRandom(1) },
    environment: { OTEL_TRACES_SAMPLER: sampler },
    logLevel: "fatal",
    metricsListener: undefined,
    keep: { onSpan: (span) => spans.push(span), random: createSeededRandom(2) },
  });
  bench = await createBrokerBench(imageOf([{ name: "t" }]), { tracer, time });
}

beforeEach(() => start());

const called = (traceparent: string | undefined) =>
  callContext({ traceparent, setTrailer: (key, value) => trailers.push(`${key} ${String(value)}`) });

const value = { valueForm: { case: "text" as const, value: "a" } };
const traceHeader = (text: string) => ({ key: "traceparent", form: { case: "text" as const, value: text } });

const produce = (
  traceparent: string | undefined,
  to: { topic?: string; partition?: number; timeoutMs?: number } = {},
) =>
  bench.produce(
    create(ProduceRequestSchema, { topic: "t", partition: 0, records: [value], ...to }),
    called(traceparent),
  );

/** A batch whose records have these contexts, or none. */
const produceWithHeader = (...texts: readonly (string | undefined)[]) => {
  const records = texts.map((text) => ({ ...value, headers: text === undefined ? [] : [traceHeader(text)] }));
  return bench.produce(create(ProduceRequestSchema, { topic: "t", partition: 0, records }), called(unsampled));
};

const fetch = (traceparent: string | undefined, at: { partition?: number; offset?: bigint; topic?: string } = {}) => {
  const { partition = 0, offset = 0n, topic = "t" } = at;
  const partitions = [{ partition, start: { case: "offset" as const, value: offset } }];
  return bench.fetch(create(FetchRequestSchema, { topic, partitions }), called(traceparent));
};

/** What each span says, in the order of their ends. */
const told = () =>
  spans.map(({ name, status, attributes, parentSpanContext, links }) => ({
    name,
    parent: parentSpanContext?.spanId,
    links: links.map(({ context }) => context.spanId),
    error: status.message,
    type: attributes["error.type"],
  }));

describe("a call that is refused at once", () => {
  it.each([
    { says: "a topic that is not there", to: { topic: "unknown" }, error: "REASON_UNKNOWN_TOPIC" },
    { says: "a partition that is not there", to: { partition: 7 }, error: "REASON_UNKNOWN_PARTITION" },
  ])("is a span below its caller that names the error: $says", async ({ to, error }) => {
    await expect(produce(sampled, to)).rejects.toThrow();
    await expect(fetch(sampled, to)).rejects.toThrow();
    const each = { parent: spanId, links: [], error, type: error };
    expect(told()).toEqual([
      { name: "broker produce", ...each },
      { name: "broker fetch", ...each },
    ]);
    expect(spans[0]?.attributes).toMatchObject({ "tidemark.outcome": "NOT_APPLIED" });
    expect(trailers).toEqual([`${traceIdTrailer} ${traceId}`, `${traceIdTrailer} ${traceId}`]);
  });

  it("is one also where the partitions are left open, or named twice", async () => {
    const partitions = [{ partition: 0 }, { partition: 0 }];
    for (const request of [{ topic: "unknown" }, { topic: "t", partitions }]) {
      await expect(bench.fetch(create(FetchRequestSchema, request), called(sampled))).rejects.toThrow();
    }
    expect(told()).toMatchObject([
      { name: "broker fetch", parent: spanId, error: "REASON_UNKNOWN_TOPIC" },
      { name: "broker fetch", parent: spanId, error: "REASON_INVALID_ARGUMENT" },
    ]);
    expect(trailers).toEqual([`${traceIdTrailer} ${traceId}`, `${traceIdTrailer} ${traceId}`]);
  });

  it("is one where a subscription does not come to its first message", async () => {
    for (const request of [{ topic: "unknown" }, { topic: "t", partitions: [{ partition: 7 }] }]) {
      const frames = bench.subscribe(create(SubscribeRequestSchema, request), called(sampled));
      await expect(frames.next()).rejects.toThrow();
    }
    expect(told()).toMatchObject([
      { name: "broker fetch", parent: spanId, error: "REASON_UNKNOWN_TOPIC" },
      { name: "broker fetch", parent: spanId, error: "REASON_UNKNOWN_PARTITION" },
    ]);
  });

  it("is one by a stream too, below the context of its own message", async () => {
    const stream = { bytesQueued: () => 0, write: () => true, pause: () => {}, resume: () => {}, end: () => {} };
    const listener = bench.produceStream(stream, called(unsampled));
    const encoded = encodeRecords([create(RecordSchema, value)], { nowMs: 1, crc32c: portableCrc32c });
    if (encoded.kind !== "ok") throw new Error(encoded.message);
    const message = { topic: "t", partition: 7, batches: encoded.batch };
    listener.onMessage(create(ProduceStreamRequestSchema, { ...message, traceparent: sampled }));
    expect(told()).toMatchObject([{ name: "broker produce", parent: spanId, error: "REASON_UNKNOWN_PARTITION" }]);
  });
});

describe("failures that nobody samples", () => {
  it("are recorded at a limited rate, each as a trace of its own that links to its caller", async () => {
    for (let count = 0; count < 30; count++) {
      await expect(produce(unsampled, { partition: 7 })).rejects.toThrow();
      await expect(fetch(unsampled, { partition: 7 })).rejects.toThrow();
    }
    const each = { parent: undefined, links: [spanId], error: "REASON_UNKNOWN_PARTITION" };
    expect(told().slice(0, 2)).toMatchObject([
      { name: "broker produce", ...each },
      { name: "broker fetch", ...each },
    ]);
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(10);
    await time.advance(1000);
    await expect(produce(unsampled, { partition: 7 })).rejects.toThrow();
    await expect(produce(unsampled, { partition: 7 })).rejects.toThrow();
    expect(spans).toHaveLength(11);
  });

  it("leave those that succeed unrecorded", async () => {
    await produce(unsampled);
    await produce(undefined);
    await fetch(unsampled);
    expect(told()).toEqual([]);
    expect(trailers).toEqual([]);
  });
});

describe("a produce whose time is over before its ack", () => {
  it("is a span as long as it waited, which says that the outcome is not known", async () => {
    const release = bench.gated.holdSyncs();
    const answer = produce(unsampled, { timeoutMs: 200 });
    const refused = expect(answer).rejects.toThrow();
    await time.advance(200);
    await refused;
    release();
    expect(told()).toMatchObject([{ name: "broker produce", error: "REASON_DEADLINE_EXCEEDED" }]);
    expect(spans[0]?.duration).toEqual([0, 200_000_000]);
    expect(spans[0]?.attributes).toMatchObject({ "tidemark.outcome": "UNKNOWN", "messaging.batch.message_count": 1 });
    expect(trailers).toEqual([`${traceIdTrailer} ${spans[0]?.spanContext().traceId}`]);
  });

  it("is told with all of its steps where it is sampled, the ack with the same error", async () => {
    const release = bench.gated.holdSyncs();
    const answer = produce(sampled, { timeoutMs: 200 });
    const refused = expect(answer).rejects.toThrow();
    await time.advance(200);
    await refused;
    release();
    const error = "REASON_DEADLINE_EXCEEDED";
    expect(told()).toMatchObject([
      { name: "append", error: undefined },
      { name: "ack", error },
      { name: "broker produce", parent: spanId, error },
    ]);
    expect(spans[1]?.attributes).toMatchObject({ "tidemark.outcome": "UNKNOWN", "tidemark.replicas_counted": 0 });
  });
});

describe("a fetch that nobody samples", () => {
  it("is recorded where it hands out a batch whose produce was recorded, and links to that", async () => {
    await produceWithHeader(sampled);
    await fetch(unsampled);
    await fetch(undefined);
    // Of the first the caller, which nobody recorded, is a link as well.
    expect(told()).toMatchObject([
      { name: "broker fetch", parent: undefined, links: [spanId, spanId], error: undefined },
      { name: "broker fetch", parent: undefined, links: [spanId], error: undefined },
    ]);
  });

  it("is recorded wherever in the batch the recorded produce stands, as where an untraced caller's record came first", async () => {
    await produceWithHeader(undefined, "no context", sampled, undefined, sampled);
    await fetch(undefined);
    expect(told()).toMatchObject([{ name: "broker fetch", links: [spanId] }]);
  });

  it("is not for a stored context that is none, or says that nothing was recorded", async () => {
    const none = ["", "00", `00-${traceId}-xx-01`, `ff-${traceId}-${spanId}-01`, unsampled, "0".repeat(4000)];
    for (const text of none) await produceWithHeader(text);
    await fetch(unsampled);
    expect(told()).toEqual([]);
  });

  it("is not where it found nothing, whoever asks", async () => {
    await fetch(sampled);
    await fetch(unsampled);
    expect(told()).toEqual([]);
  });
});

describe("a trace context that is none", () => {
  it.each([
    "",
    "00",
    `00-${traceId}-${spanId}`,
    `ff-${traceId}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    "%",
  ])("counts as absent: the trace begins here, and the call is answered: %j", async (text) => {
    await start("parentbased_always_on");
    await produce(text);
    await fetch(text);
    const roots = told().filter(({ parent }) => parent === undefined);
    expect(roots).toMatchObject([
      { name: "broker produce", links: [], error: undefined },
      { name: "broker fetch", links: [], error: undefined },
    ]);
    expect(spans.map((span) => span.spanContext().traceId)).not.toContain(traceId);
  });
});
