/**
 * One story for every reader of traces: so many produces, fetches and elections on a cluster of real processes, and what
 * the design draws of each, counted. `readers` of it are the receiver of `npm test` and a real Jaeger.
 */
import { context, type Span as OtelSpan, trace } from "@opentelemetry/api";
import { type Client, createClient } from "@tidemark/client";
import { Format } from "@tidemark/proto/log/v1";
import { createNodeRuntime } from "@tidemark/runtime";
import { startTelemetry } from "@tidemark/telemetry";
import { type DevCluster, type ReceivedSpan, startDevCluster, waitFor } from "@tidemark/testkit";
import { type SpanStore, waitForSpans } from "@tidemark/testkit/traces";

export type Backend = "single" | "raft" | "etcd";

export interface Plot {
  readonly backend: Backend;
  readonly produces: number;
  readonly fetches: number;
  readonly elections: number;
}

/** What happened, and every span that came of it. */
export interface Told extends Plot {
  readonly spans: readonly ReceivedSpan[];
  /** The produces, in the order of their offsets, with the latency that the client measured by itself. */
  readonly produced: readonly { readonly traceId: string; readonly ms: number }[];
}

const topic = "story";

/** Nothing is sampled but what the story's own client asks for, and what is recorded always. */
const unsampled = { OTEL_TRACES_SAMPLER: "parentbased_always_off" };
/** Stands for the program that uses the client. */
const applicationSpan = "application";

/** Tells the story, and stops the cluster, so that each process has sent its last span. */
export async function tellStory(store: SpanStore, plot: Plot): Promise<Told> {
  const telemetry = await startTelemetry({
    service: "tidemark-client",
    instanceId: "client",
    runtime: createNodeRuntime(),
    scope: "process",
    environment: { ...store.environment, OTEL_TRACES_SAMPLER: "parentbased_always_on" },
    logLevel: "error",
    metricsListener: undefined,
  });
  const flags = plot.backend === "single" ? ["--backend=single"] : [`--backend=${plot.backend}`, "--controllers=3"];
  const cluster = await startDevCluster({ brokers: 3, env: { ...store.environment, ...unsampled }, flags });
  try {
    const client = await createClient({ bootstrap: cluster.endpoint("gateway-1"), routing: "bootstrap" });
    const happened = await act(store, { client, cluster }, plot);
    client.close();
    // What follows belongs to the end of the cluster: leaders that move away.
    const endNanos = BigInt(Date.now()) * 1_000_000n;
    await cluster.stop();
    await telemetry.shutdown();
    const all = (await store.spans()).filter((span) => !isFailureOfNobody(span));
    return { ...plot, ...happened, spans: all.filter(isOfTracesBefore(all, endNanos)) };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

const served = new Set(["gateway route", "broker produce", "broker fetch"]);

/**
 * A call that nobody traced and that failed is recorded by itself, as one that asks a new leader a moment too early. What
 * is drawn of calls hangs below its caller.
 */
function isFailureOfNobody({ name, parentSpanId, attributes }: ReceivedSpan): boolean {
  return served.has(name) && parentSpanId === undefined && "error.type" in attributes;
}

function isOfTracesBefore(spans: readonly ReceivedSpan[], endNanos: bigint): (span: ReceivedSpan) => boolean {
  const began = new Map<string, bigint>();
  for (const { traceId, startNanos } of spans) {
    const first = began.get(traceId);
    if (first === undefined || startNanos < first) began.set(traceId, startNanos);
  }
  return ({ traceId }) => (began.get(traceId) ?? 0n) < endNanos;
}

async function act(
  store: SpanStore,
  { client, cluster }: { readonly client: Client; readonly cluster: DevCluster },
  plot: Plot,
): Promise<Pick<Told, "produced">> {
  await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
  const partition = async () => (await client.admin.describeTopics({ topics: [topic] })).topics[0]?.partitions[0];
  const inSync = () => waitFor("three in sync", async () => (await partition())?.isr.length === 3);
  await inSync();
  const producer = client.createProducer();
  const produced: { traceId: string; ms: number }[] = [];
  const produce = () =>
    asApplication(async (span) => {
      const startMs = performance.now();
      const { kind } = await producer.send(topic, { value: "traced" });
      if (kind !== "acknowledged") throw new Error(`The produce was not acknowledged: ${kind}`);
      produced.push({ traceId: span.spanContext().traceId, ms: performance.now() - startMs });
    });

  /** Recorded by nobody. The leader is known to lead afterwards, and knows it, so that each produce is one attempt. */
  const untilLed = () => producer.send(topic, { value: "untraced" });
  await untilLed();
  for (let count = 0; count < plot.produces; count++) await produce();
  for (let count = 0; count < plot.fetches; count++) await readAll(client, plot.produces + 1);
  await callByHand(client, BigInt(plot.produces + 1));

  for (let count = 0; count < plot.elections; count++) {
    // Whoever is killed has sent its spans.
    await waitForSpans(store, "the spans so far", (spans) => hasSent(spans, plot, count));
    const leader = (await partition())?.leader;
    await cluster.kill(`broker-${leader}`);
    await waitFor("another leader", async () => {
      const state = await partition();
      return state?.leader !== leader && state?.isr.length === 2;
    });
    await untilLed();
    await produce();
    await cluster.start(`broker-${leader}`);
    await inSync();
  }
  await producer.close();
  return { produced };
}

function hasSent(spans: readonly ReceivedSpan[], plot: Plot, elections: number): boolean {
  const count = (name: string) => spans.filter((span) => span.name === name).length;
  return (
    count("ack") === plot.produces + 1 + elections &&
    count("replica receive") === 2 * (plot.produces + 1) + elections &&
    count("replicate") === 2 * (plot.produces + 1) + elections &&
    count("broker fetch") === plot.fetches + 1 &&
    count("isr expand") === elections &&
    count("become leader") === 1 + elections
  );
}

/** The span of somebody who calls without a client, and sends its spans elsewhere. */
export const caller = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };

/** One produce and one fetch of what it stored, by the bare protocol. */
async function callByHand(client: Client, offset: bigint): Promise<void> {
  const traceparent = `00-${caller.traceId}-${caller.spanId}-01`;
  const records = [{ valueForm: { case: "text", value: "by hand" } } as const];
  await client.log.produce({ topic, partition: 0, records }, { traceparent });
  const partitions = [{ partition: 0, start: { case: "offset", value: offset } } as const];
  await client.log.fetch({ topic, partitions, format: Format.TEXT }, { traceparent });
}

async function readAll(client: Client, count: number): Promise<void> {
  const consumer = client.createConsumer({ topic, untilEnd: true });
  let read = 0;
  for await (const { records } of consumer.batches()) read += records.length;
  if (read !== count) throw new Error(`${read} records were read in place of ${count}`);
}

async function asApplication(work: (span: OtelSpan) => Promise<void>): Promise<void> {
  const span = trace.getTracer("story").startSpan(applicationSpan);
  try {
    await context.with(trace.setSpan(context.active(), span), () => work(span));
  } finally {
    span.end();
  }
}
