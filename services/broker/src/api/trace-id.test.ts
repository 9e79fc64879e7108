import { create } from "@bufbuild/protobuf";
import { FetchRequestSchema, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { createSeededRandom } from "@tidemark/runtime";
import { createDisabledTracer, type Tracer, traceIdTrailer } from "@tidemark/telemetry";
import { beforeEach, describe, expect, it } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
/** Follows its callers, keeps no span. */
const tracer: Tracer = {
  ...createDisabledTracer(createSeededRandom(1)),
  enabled: true,
  samples: (parent) => parent?.sampled === true,
};

let bench: BrokerBench;
let told: string[];
beforeEach(async () => {
  told = [];
  bench = await createBrokerBench(imageOf([{ name: "t" }]), { tracer });
});

const called = (flags: "00" | "01") =>
  callContext({
    traceparent: `00-${traceId}-00f067aa0ba902b7-${flags}`,
    setTrailer: (key, value) => told.push(`${key} ${String(value)}`),
  });
const records = [{ valueForm: { case: "text" as const, value: "a" } }];
const produce = (flags: "00" | "01") =>
  bench.produce(create(ProduceRequestSchema, { topic: "t", partition: 0, records }), called(flags));
const fetch = (flags: "00" | "01") =>
  bench.fetch(create(FetchRequestSchema, { topic: "t", partitions: [{ partition: 0 }] }), called(flags));

describe("the trailers of a leader's answer", () => {
  it("name the trace in which a produce was recorded", async () => {
    await produce("01");
    expect(told).toEqual([`${traceIdTrailer} ${traceId}`]);
  });

  it("name the trace in which a fetch was recorded", async () => {
    await produce("00");
    await fetch("01");
    expect(told).toEqual([`${traceIdTrailer} ${traceId}`]);
  });

  it("name none where nothing was recorded: a caller that is not sampled, a fetch that found nothing", async () => {
    await fetch("01");
    await produce("00");
    await fetch("00");
    expect(told).toEqual([]);
  });
});
