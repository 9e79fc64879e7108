import { controllerEpoch, revision } from "@tidemark/ids";
import { createManualTime, createNodeRuntime } from "@tidemark/runtime";
import { spanNames, startTelemetry } from "@tidemark/telemetry";
import { createOtlpReceiver } from "@tidemark/testkit";
import { expect, it } from "vitest";
import { keepSpans } from "../testing/kept-telemetry.ts";
import { createCampaignRecorder } from "./campaigns.ts";
import { createCommitContext } from "./commit-context.ts";
import { createEtcdReporter } from "./etcd-reporter.ts";

const wallMs = 1_700_000_000_000;

it("a controller's dealings with etcd can be read as spans, and its troubles as log lines", async () => {
  const receiver = await createOtlpReceiver();
  const lines: string[] = [];
  const runtime = createNodeRuntime();
  const telemetry = await startTelemetry({
    service: "tidemark-controller",
    instanceId: "controller-1",
    runtime,
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_TRACES_SAMPLER: "parentbased_always_on",
      OTEL_METRICS_EXPORTER: "none",
    },
    logLevel: "info",
    metricsListener: undefined,
    writeLog: (line) => lines.push(line),
  });
  const traces = { commit: createCommitContext(), campaigns: createCampaignRecorder(), underWay: () => undefined };
  const report = createEtcdReporter(telemetry, runtime.clock, traces);
  report({ kind: "claimed", epoch: controllerEpoch(6), outcome: "lost", ms: 4 });
  report({ kind: "claimed", epoch: controllerEpoch(7), outcome: "won", ms: 4 });
  report({ kind: "transaction", operations: 3, outcome: "committed", revision: revision(41n), ms: 2 });
  report({ kind: "transaction", operations: 3, outcome: "conflict", revision: undefined, ms: 2 });
  report({ kind: "transaction", operations: 3, outcome: "LOST", revision: undefined, ms: 900 });
  report({ kind: "transaction", operations: 3, outcome: "NO_SPACE", revision: undefined, ms: 2 });
  report({ kind: "watchInterrupted", endpoint: "a:1", cause: "reset", next: revision(42n) });
  report({ kind: "watchStarted", endpoint: "b:1", from: revision(41n), ms: 1 });
  report({ kind: "watchStarted", endpoint: "b:1", from: revision(41n), ms: 1 });
  report({ kind: "watchCompacted", wanted: revision(43n), compacted: revision(60n) });
  report({ kind: "watchStarted", endpoint: "c:1", from: revision(61n), ms: 1 });
  report({ kind: "leaseLost", lease: "7", cause: "no renewal was answered in time" });
  // What is told of an election does not ask the sampler, and hangs below it.
  const election = telemetry.tracer.start({ name: spanNames.commitBatch, parent: undefined });
  traces.commit.parent = election.context;
  report({ kind: "transaction", operations: 3, outcome: "committed", revision: revision(42n), ms: 2 });
  await telemetry.shutdown();
  const below = receiver.spans().filter(({ parentSpanId }) => parentSpanId !== undefined);
  expect(below.map(({ name, parentSpanId }) => [name, parentSpanId])).toEqual([
    ["etcd transaction", election.context.spanId],
  ]);
  // Whoever tells of the controller election tells of the campaign that was won.
  expect(traces.campaigns.takeWon()?.attributes).toMatchObject({ "tidemark.outcome": "won" });
  const spans = receiver
    .spans()
    .filter(({ parentSpanId }) => parentSpanId === undefined)
    .map(({ name, attributes }) => ({ name, ...attributes }));
  await receiver.close();
  const common = { "tidemark.backend": "etcd" };
  expect(spans).toEqual([
    { name: "campaign", ...common, "tidemark.controller_epoch": 6, "tidemark.outcome": "lost" },
    expect.objectContaining({ name: "etcd transaction", ...common, "tidemark.outcome": "APPLIED" }) as unknown,
    { name: "etcd transaction", ...common, "tidemark.outcome": "NOT_APPLIED" },
    { name: "etcd transaction", ...common, "tidemark.outcome": "UNKNOWN", "error.type": "LOST" },
    { name: "etcd transaction", ...common, "tidemark.outcome": "NOT_APPLIED", "error.type": "NO_SPACE" },
    expect.objectContaining({ name: "etcd watch gap", "server.address": "b:1", "tidemark.cause": "reset" }) as unknown,
    expect.objectContaining({
      name: "etcd watch gap",
      "server.address": "c:1",
      "tidemark.cause": "compacted up to 60",
    }) as unknown,
  ]);
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
    "etcd's history was compacted; what changed is read anew",
    "lease of etcd lost",
  ]);
});

it("what is committed for an election is told where nothing else is sampled, and a gap from when the first watch fell", async () => {
  const time = createManualTime(wallMs);
  const { spans, telemetry } = await keepSpans(time);
  const traces = { commit: createCommitContext(), campaigns: createCampaignRecorder(), underWay: () => undefined };
  const report = createEtcdReporter(telemetry, time.clock, traces);
  const transaction = { kind: "transaction", operations: 3, outcome: "committed", ms: 20 } as const;
  await time.advance(100);
  report({ ...transaction, revision: revision(41n) });
  expect(spans).toEqual([]);
  const { context } = telemetry.tracer.start({ name: spanNames.commitBatch, parent: undefined });
  traces.commit.parent = context;
  report({ ...transaction, revision: revision(42n) });
  traces.commit.parent = undefined;
  report({ kind: "watchInterrupted", endpoint: "a:1", cause: "reset", next: revision(43n) });
  await time.advance(50);
  report({ kind: "watchInterrupted", endpoint: "b:1", cause: "refused", next: revision(43n) });
  await time.advance(50);
  report({ kind: "watchStarted", endpoint: "c:1", from: revision(43n), ms: 1 });
  const msOf = ([seconds, nanos]: readonly [number, number]) => seconds * 1000 + nanos / 1e6 - wallMs;
  const told = spans.map(({ name, startTime, endTime, parentSpanContext, attributes }) => {
    const [start, end] = [msOf(startTime), msOf(endTime)];
    return [name, start, end, parentSpanContext?.spanId, attributes["tidemark.cause"]];
  });
  expect(told).toEqual([
    ["etcd transaction", 80, 100, context.spanId, undefined],
    ["etcd watch gap", 100, 200, undefined, "reset"],
  ]);
});

it("log lines name what is under way, and the gap of a watch where it is that", async () => {
  const time = createManualTime(wallMs);
  const { spans, lines, telemetry } = await keepSpans(time);
  const { context } = telemetry.tracer.start({ name: spanNames.commitBatch, parent: undefined });
  let underWay: typeof context | undefined = context;
  const traces = { commit: createCommitContext(), campaigns: createCampaignRecorder(), underWay: () => underWay };
  const report = createEtcdReporter(telemetry, time.clock, traces);
  const lost = { kind: "leaseLost", lease: "7", cause: "no renewal was answered in time" } as const;
  const failed = { kind: "memberFailed", endpoint: "a:1", cause: "reset", failures: 1 } as const;
  report(lost);
  report({ ...failed, purpose: "calls" });
  report({ ...failed, purpose: "watch" });
  report({ kind: "watchCompacted", wanted: revision(43n), compacted: revision(60n) });
  report({ kind: "watchStarted", endpoint: "b:1", from: revision(61n), ms: 1 });
  underWay = undefined;
  report(lost);
  const [gap] = spans.map((span) => span.spanContext().spanId);
  expect(gap).toBeDefined();
  const told = lines.map((line) => (JSON.parse(line) as { span_id?: string }).span_id);
  expect(told).toEqual([context.spanId, context.spanId, undefined, gap, undefined]);
});
