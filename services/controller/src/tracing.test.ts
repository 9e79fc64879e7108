/** The trace of one election, as a receiver gets it: names, parents, attributes, and the context that brokers are told. */
import { eachPartition, emptyImage } from "@tidemark/metadata";
import { createNodeRuntime, createSeededRandom, type Runtime } from "@tidemark/runtime";
import { createLogger, parseTraceparent, spanNames, startTelemetry } from "@tidemark/telemetry";
import { createOtlpReceiver, type ReceivedSpan } from "@tidemark/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { createTeller } from "./tell.ts";
import {
  createTopic,
  describeTopic,
  joinBroker,
  openWatch,
  type PlayedBroker,
  passTime,
  portOf,
  register,
} from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";
import { createCampaignRecorder } from "./tracing/campaigns.ts";
import { createCommitContext } from "./tracing/commit-context.ts";
import { createControllerElectionTracer } from "./tracing/controller-election-tracer.ts";
import { createElectionTracer, type ElectionTracer } from "./tracing/election-tracer.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Telemetry on the clock of a world, exported to a receiver. Resolves with all spans when it is shut down. */
async function telemetryFor(runtime: Runtime) {
  const receiver = await createOtlpReceiver();
  closing.push(() => receiver.close());
  const { tracer, metrics, shutdown } = await startTelemetry({
    service: "tidemark-controller",
    instanceId: "controller-1",
    runtime: { clock: runtime.clock, random: createSeededRandom(7), scheduler: createNodeRuntime().scheduler },
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_METRICS_EXPORTER: "none",
      // Elections are recorded whatever the sampling says.
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
    },
    logLevel: "error",
    metricsListener: undefined,
    writeLog: () => undefined,
  });
  return {
    tracer,
    metrics,
    async spans(): Promise<readonly ReceivedSpan[]> {
      await shutdown();
      return receiver.spans();
    },
  };
}

type Telling = (of: {
  readonly w: World;
  readonly telemetry: Awaited<ReturnType<typeof telemetryFor>>;
  readonly traces: ElectionTracer;
}) => ElectionTracer;

/** `tell`: puts something in the place of the tracer that is told of everything. */
async function open(tell?: Telling) {
  const w = await createWorld();
  closing.push(() => w.close());
  const telemetry = await telemetryFor(w.runtime);
  let brokers: () => readonly never[] = () => [];
  const commit = createCommitContext();
  const traces: ElectionTracer = createElectionTracer({
    tracer: telemetry.tracer,
    runtime: w.time,
    backend: "twin",
    commit,
    brokers: () => brokers(),
  });
  const told = tell?.({ w, telemetry, traces });
  const node = await w.start(1, { traces: told ?? traces });
  brokers = () => [...node.controller.image.sessions.keys()] as never[];
  await w.active();
  const played: PlayedBroker[] = [];
  for (const id of [1, 2, 3]) played.push(await joinBroker(w, node, id));
  return { w, node, telemetry, played };
}

async function kill(w: World, node: Node, broker: PlayedBroker | undefined, others: readonly PlayedBroker[]) {
  if (broker === undefined) throw new Error("No such broker");
  w.ports.set(portOf(broker.brokerId), "refused");
  broker.close();
  await passTime(w, 600, others);
  await w.until(() => node.controller.image.sessions.size === 2, "the session ended");
}

const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);
const attributes = (span: ReceivedSpan | undefined) => span?.attributes ?? {};

describe("log lines", () => {
  it("of an election carry the ids of its spans, and that of the active controller those of its own", async () => {
    const lines: string[] = [];
    const { w, node, telemetry, played } = await open(({ w, telemetry, traces }) => {
      const { clock } = w.runtime;
      const write = (line: string) => lines.push(line);
      const of = { service: "s", instanceId: "i", level: "debug", write } as const;
      const campaigns = createCampaignRecorder();
      const parts = { tracer: telemetry.tracer, clock, backend: "twin", controllerId: 1, campaigns };
      const onEvent = createTeller({
        telemetry: { metrics: telemetry.metrics, logger: createLogger({ clock, ...of }) },
        state: { isActive: () => true, image: () => emptyImage },
        elections: traces,
        controllerElection: createControllerElectionTracer(parts),
      });
      return { ...traces, onEvent };
    });
    await w.settle(createTopic(node, "orders"));
    await killFirst({ w, node, played });
    const spans = await telemetry.spans();
    const idsOf = (name: string, { traceId, spanId } = named(spans, name)[0] ?? { traceId: "none", spanId: "" }) => ({
      trace_id: traceId,
      span_id: spanId,
    });
    const all = lines.map((line) => JSON.parse(line) as { readonly message: string; readonly cause?: string });
    const said = (message: string) => all.filter((line) => line.message === message);
    for (const message of ["broker session ended", "ISR changed"]) {
      expect(said(message), message).toEqual([expect.objectContaining(idsOf(spanNames.election))]);
    }
    const elected = said("leader elected").filter(({ cause }) => cause !== "topic created");
    expect(elected).toEqual([expect.objectContaining(idsOf(spanNames.partition))]);
    expect(said("active controller")).toEqual([expect.objectContaining(idsOf(spanNames.controllerElection))]);
    for (const line of said("broker registered")) expect(line).not.toHaveProperty("trace_id");
  });
});

/** The first broker dies, and the two others are told who leads in its place. */
async function killFirst({ w, node, played }: Pick<Awaited<ReturnType<typeof open>>, "w" | "node" | "played">) {
  const watches = [2, 3].map((brokerId) => openWatch(node, { brokerId }));
  await w.until(() => watches.every((watch) => watch.frames.length === 1), "the snapshots");
  await kill(w, node, played[0], played.slice(1));
  await w.until(() => watches.every((watch) => watch.frames.length === 2), "the election is told");
  await w.until(() => true, "and taken");
}

/** The partitions that were elected anew, by their leaders. */
function led(node: Node): ReadonlyMap<number | undefined, readonly number[]> {
  const anew = [...eachPartition(node.controller.image)].filter(({ partition }) => partition.leaderEpoch === 1);
  const indexes = Map.groupBy(anew, ({ partition }) => partition.leader as number | undefined);
  return new Map([...indexes].map(([leader, some]) => [leader, some.map(({ partition }) => partition.partition)]));
}

describe("an election", () => {
  it("is one trace: root, session end, decision, batches, each broker told, each partition with its rule", async () => {
    const { w, node, telemetry, played } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    await killFirst({ w, node, played });

    const spans = await telemetry.spans();
    const [root, ...others] = named(spans, spanNames.election);
    expect(others).toEqual([]);
    expect(root?.parentSpanId).toBeUndefined();
    expect(attributes(root)).toMatchObject({ "tidemark.broker": 1, "tidemark.cause": "connection lost" });
    const children = spans.filter((span) => span.parentSpanId === root?.spanId);
    expect(children).toHaveLength(spans.length - 1);
    expect(children.map((span) => span.name).sort()).toEqual([
      spanNames.commitBatch,
      spanNames.decide,
      spanNames.partition,
      spanNames.publish,
      spanNames.publish,
      spanNames.sessionEnd,
    ]);
    for (const span of children) {
      expect(span.traceId).toBe(root?.traceId);
      expect(span.startNanos).toBeGreaterThanOrEqual(root?.startNanos ?? 0n);
      expect(span.endNanos).toBeLessThanOrEqual(root?.endNanos ?? 0n);
    }
    const [sessionEnd] = named(spans, spanNames.sessionEnd);
    expect(attributes(sessionEnd)).toMatchObject({ "tidemark.broker": 1, "tidemark.cause": "connection lost" });
    const [batch] = named(spans, spanNames.commitBatch);
    expect(attributes(batch)).toMatchObject({
      "tidemark.backend": "twin",
      "tidemark.batch.index": 1,
      "tidemark.batch.count": 1,
    });
    expect(attributes(sessionEnd)["tidemark.revision"]).toEqual(attributes(batch)["tidemark.revision"]);
    expect(
      named(spans, spanNames.publish)
        .map((span) => attributes(span)["tidemark.broker"])
        .sort(),
    ).toEqual([2, 3]);
    const [partition] = named(spans, spanNames.partition);
    expect(attributes(partition)).toMatchObject({
      "messaging.destination.name": "orders",
      "tidemark.leader.old": 1,
      "tidemark.leader_epoch": 1,
      "tidemark.rule": "isr",
      "tidemark.cause": "connection lost",
    });
    // The root begins when the broker was lost: the grace lies within.
    expect((root?.endNanos ?? 0n) - (root?.startNanos ?? 0n)).toBeGreaterThanOrEqual(300_000_000n);
  });

  it("is told to each new leader beside its partition: what it does about it hangs there", async () => {
    const { w, node, telemetry, played } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 12 }));
    const watches = [2, 3, undefined].map((brokerId) => openWatch(node, brokerId === undefined ? {} : { brokerId }));
    await w.until(() => watches.every((watch) => watch.frames.length === 1), "the snapshots");
    await kill(w, node, played[0], played.slice(1));
    await w.until(() => watches.every((watch) => watch.frames.length === 2), "the election is told");
    const elected = led(node);
    expect(elected.size).toBe(2);
    const told = watches.map((watch) => watch.frames[1]?.elections ?? []);
    expect(told.map((some) => some.map(({ partition }) => partition))).toEqual([elected.get(2), elected.get(3), []]);
    const parts = named(await telemetry.spans(), spanNames.partition);
    const partOf = (index: number) =>
      parts.find((span) => attributes(span)["messaging.destination.partition.id"] === `${index}`);
    for (const { partition = -1, leaderEpoch, traceparent = "" } of told.flat()) {
      const { traceId, spanId } = partOf(partition) ?? {};
      expect(parseTraceparent(traceparent)).toMatchObject({ traceId, spanId, sampled: true });
      expect(leaderEpoch).toBe(1);
    }
  });

  it("is told to who begins with a snapshot meanwhile, too, and no longer than brokers are waited for", async () => {
    const { w, node, telemetry, played } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 12 }));
    await kill(w, node, played[0], played.slice(1));
    const watch = openWatch(node, { brokerId: 2 });
    await w.until(() => watch.frames.length === 1, "the snapshot");
    const told = watch.frames[0]?.elections ?? [];
    expect(told.map(({ partition }) => partition)).toEqual(led(node).get(2));
    // Broker 3 never reads: the trace is over all the same.
    await passTime(w, 5500, played.slice(1));
    const later = openWatch(node, { brokerId: 2 });
    await w.until(() => later.frames.length === 1, "the snapshot");
    expect(later.frames[0]?.elections).toEqual([]);
    const parts = named(await telemetry.spans(), spanNames.partition).map(({ spanId }) => spanId);
    for (const { traceparent = "" } of told) expect(parts).toContain(parseTraceparent(traceparent)?.spanId);
  });

  it("that ends in several batches has a span for each", async () => {
    const { w, node, telemetry, played } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 240 }));
    await kill(w, node, played[0], played.slice(1));
    await passTime(w, 5500, played.slice(1));
    const spans = await telemetry.spans();
    expect(named(spans, spanNames.commitBatch).map((span) => attributes(span)["tidemark.batch.index"])).toEqual([
      1, 2, 3,
    ]);
    expect(named(spans, spanNames.partition)).toHaveLength(80);
    expect(attributes(named(spans, spanNames.decide)[0])).toMatchObject({ "tidemark.partitions": 80 });
  });

  it("of a registration, and of a silent broker, name their causes; new topics are no elections", async () => {
    const { w, node, telemetry, played } = await open();
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    await w.settle(register(node, 1));
    await passTime(w, 7000, played.slice(1, 2));
    await w.until(() => node.controller.image.sessions.size === 1, "the silent ones ended");
    await w.settle(describeTopic(node, "orders"));
    await passTime(w, 5500, played.slice(1, 2));
    const roots = named(await telemetry.spans(), spanNames.election);
    const causes = roots.map((root) => attributes(root)["tidemark.cause"]);
    expect(causes[0]).toBe("registration");
    expect(new Set(causes.slice(1))).toEqual(new Set(["session timeout"]));
    const silent = roots.at(-1);
    expect((silent?.endNanos ?? 0n) - (silent?.startNanos ?? 0n)).toBeGreaterThanOrEqual(6_000_000_000n);
  });
});
