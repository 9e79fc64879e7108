import { get } from "node:http";
import { create } from "@bufbuild/protobuf";
import { leaderEpoch, offset } from "@tidemark/ids";
import {
  FetchRequestSchema,
  Format,
  ProduceRequestSchema,
  RecordSchema,
  SubscribeRequestSchema,
} from "@tidemark/proto/log/v1";
import type { BatchHeader } from "@tidemark/record";
import { createNodeRuntime } from "@tidemark/runtime";
import { type Metrics, type Report, startTelemetry } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";
import { producerBatch } from "../testing/producer-batch.ts";
import { createReplicaCluster, one, three, two } from "../testing/replica-cluster.ts";
import { createBrokerMetrics } from "./broker-metrics.ts";

/** Metrics whose values can be looked at. */
function collect() {
  const observed = new Map<string, (report: Report) => void>();
  const recorded: { name: string; value: number; labels: unknown; trace: unknown }[] = [];
  const metrics: Metrics = {
    counter: () => ({ add: () => undefined }),
    histogram: ({ name }) => ({ record: (value, labels, trace) => recorded.push({ name, value, labels, trace }) }),
    observeGauge: ({ name }, read) => {
      observed.set(name, read);
      return () => observed.delete(name);
    },
    observeCounter: ({ name }, read) => {
      observed.set(name, read);
      return () => observed.delete(name);
    },
  };
  const read = (name: string) => {
    const values: [number, unknown][] = [];
    observed.get(name)?.((value, labels) => values.push([value, labels]));
    return values;
  };
  return { metrics, recorded, observed, read };
}

const pageAt = (url: string) =>
  new Promise<string>((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });

const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, traceState: undefined };
const producer = { id: 1n, epoch: 0, sequence: 0 };
const bytes = producerBatch(producer, "a", "b", "c");
const batches = { bytes, headers: [] as readonly BatchHeader[], records: 3 };
const acknowledged = { kind: "acknowledged", baseOffset: offset(0n), leaderEpoch: leaderEpoch(1) } as const;

test("what is acknowledged is counted, and how long each answer took by acks and outcome", () => {
  const { metrics, recorded, read } = collect();
  const broker = createBrokerMetrics(metrics, () => []);
  broker.produced({ batches, acks: "all", outcome: acknowledged, ms: 5, trace });
  const failed = { kind: "failed", error: new Error() as never } as const;
  broker.produced({ batches, acks: "leader", outcome: failed, ms: 250, trace: undefined });
  expect(read("tidemark_produced_records_total")).toEqual([[3, undefined]]);
  expect(read("tidemark_produced_bytes_total")).toEqual([[bytes.length, undefined]]);
  expect(recorded).toEqual([
    {
      name: "tidemark_produce_duration_seconds",
      value: 0.005,
      labels: { acks: "all", outcome: "acknowledged" },
      trace,
    },
    { name: "tidemark_produce_duration_seconds", value: 0.25, labels: { acks: "leader", outcome: "failed" } },
  ]);
});

test("what is handed out is counted: the records of whole batches, or those of an answer in records and no more", async () => {
  const { metrics, read } = collect();
  const counting = createBrokerMetrics(metrics, () => []);
  const bench = await createBrokerBench(imageOf([{ name: "t" }]), { metrics: counting });
  const records = ["a", "b", "c"].map((value) => create(RecordSchema, { valueForm: { case: "text", value } }));
  await bench.produce(create(ProduceRequestSchema, { topic: "t", records }), callContext());
  const counted = () => read("tidemark_fetched_records_total")[0]?.[0];
  let next = create(FetchRequestSchema, { topic: "t", format: Format.TEXT, maxRecords: 1 });
  for (const handedOut of [1, 2, 3, 3]) {
    const answer = await bench.fetch(next, callContext());
    expect(counted()).toBe(handedOut);
    next = answer.next ?? next;
  }
  expect(read("tidemark_fetched_bytes_total")[0]?.[0]).toBeGreaterThan(0);
  await bench.fetch(create(FetchRequestSchema, { topic: "t", format: Format.BATCHES }), callContext());
  expect(counted()).toBe(6);
  const call = create(SubscribeRequestSchema, { topic: "t", format: Format.TEXT, creditRecords: 2n });
  const frames: unknown[] = [];
  for await (const { frame } of bench.subscribe(call, callContext())) frames.push(frame?.case);
  expect(frames).toContain("data");
  expect(counted()).toBe(8);
});

test("the lag of each follower is what it has not flushed", async () => {
  const cluster = await createReplicaCluster();
  const { metrics, read } = collect();
  createBrokerMetrics(metrics, () => cluster.broker(one).table.led());
  const release = cluster.broker(three).disk.holdSyncs();
  const produced = cluster.produce(one, "a");
  await cluster.until(() => cluster.broker(two).partition().log.flushedOffset === 1n);
  await cluster.advance(500);
  expect(read("tidemark_high_watermark_lag_records")).toEqual([
    [0, { follower: two }],
    [1, { follower: three }],
  ]);
  release();
  await cluster.until(() => cluster.broker(one).partition().highWatermark === 1n);
  await produced;
  expect(read("tidemark_high_watermark_lag_records").map(([value]) => value)).toEqual([0, 0]);
});

test("ten thousand topics bring no series that one has not", async () => {
  const cluster = await createReplicaCluster();
  const [view] = cluster.broker(one).table.led();
  if (view === undefined) throw new Error("Nothing is led");
  const seriesOf = async (led: readonly (typeof view)[]) => {
    const telemetry = await startTelemetry({
      service: "tidemark-broker",
      instanceId: "broker-1",
      runtime: createNodeRuntime(),
      environment: {},
      logLevel: "fatal",
      metricsListener: { host: "127.0.0.1", port: 0 },
    });
    const broker = createBrokerMetrics(telemetry.metrics, () => led);
    for (let each = 0; each < led.length; each++) {
      broker.produced({ batches, acks: "all", outcome: acknowledged, ms: 5, trace });
      broker.fetched({ partitions: [{ batches: bytes, records: [] }], bytes: bytes.length, ms: 1, trace });
    }
    const { host = "", port = 0 } = telemetry.metricsEndpoint ?? {};
    const text = await pageAt(`http://${host}:${port}/metrics`);
    await telemetry.shutdown();
    const lines = text.split("\n").filter((line) => line.startsWith("tidemark_") && !line.includes("event_loop_lag"));
    return lines.map((line) => line.slice(0, line.lastIndexOf(" "))).sort();
  };
  const series = await seriesOf([view]);
  expect(series.length).toBeGreaterThan(40);
  // Each by a name of its own, wherever that is looked for.
  const topicOf = (n: number) => Object.assign(Object.create(view) as typeof view, { topic: `t${n}`, index: n % 7 });
  expect(await seriesOf(Array.from({ length: 10_000 }, (_, n) => topicOf(n)))).toEqual(series);
});

test("a broker that stopped tells nothing more", () => {
  const { metrics, observed } = collect();
  createBrokerMetrics(metrics, () => []).stop();
  expect([...observed.keys()]).toEqual([]);
});
