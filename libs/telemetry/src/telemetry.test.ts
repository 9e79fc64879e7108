import { get } from "node:http";
import { createServer } from "node:net";
import { createManualTime, createNodeRuntime, createSeededRandom, type Runtime } from "@tidemark/runtime";
import { createOtlpReceiver, type OtlpReceiver } from "@tidemark/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  attributeNames,
  MetricsListenerError,
  spanNames,
  startTelemetry,
  type Telemetry,
  type TelemetryOptions,
} from "./index.ts";

let receiver: OtlpReceiver;
const started: Telemetry[] = [];
beforeEach(async () => {
  receiver = await createOtlpReceiver();
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((telemetry) => telemetry.shutdown()));
  await receiver.close();
});

const lines: string[] = [];
async function start(options: Partial<TelemetryOptions> = {}): Promise<Telemetry> {
  lines.length = 0;
  const telemetry = await startTelemetry({
    service: "tidemark-broker",
    instanceId: "broker-1",
    runtime: createNodeRuntime(),
    environment: {},
    logLevel: "info",
    metricsListener: undefined,
    writeLog: (line) => lines.push(line),
    ...options,
  });
  started.push(telemetry);
  return telemetry;
}
const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, traceState: undefined };
const protocols = [
  ["grpc", () => receiver.grpcUrl],
  ["http/protobuf", () => receiver.httpUrl],
] as const;
const environmentOf = (protocol: string, url: string, more: Record<string, string> = {}) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
  OTEL_TRACES_SAMPLER: "parentbased_always_on",
  OTEL_METRICS_EXPORTER: "none",
  ...more,
});
const scrape = (telemetry: Telemetry, path = "/metrics", method = "GET", accept = "*/*") =>
  new Promise<{ readonly status: number | undefined; readonly text: string }>((resolve, reject) => {
    const { host, port } = telemetry.metricsEndpoint ?? { host: "", port: 0 };
    get({ host, port, path, method, headers: { accept }, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, text }));
    }).on("error", reject);
  });
const anyPort = { host: "127.0.0.1", port: 0 };

describe("traces", () => {
  test.each(protocols)(
    "arrive over %s whole: names, parents, links, times, attributes, resource",
    async (protocol, url) => {
      const { tracer, shutdown } = await start({
        environment: environmentOf(protocol, url(), { OTEL_RESOURCE_ATTRIBUTES: "zone=a,service.instance.id=shared" }),
      });
      const produce = tracer.start({
        name: spanNames.brokerProduce,
        kind: "server",
        parent: undefined,
        attributes: { [attributeNames.topic]: "t", [attributeNames.baseOffset]: 7n, [attributeNames.isr]: ["1", "2"] },
      });
      const flush = tracer.record({
        name: spanNames.flush,
        parent: produce.context,
        startMs: 10,
        endMs: 12.5,
        links: [produce.context],
        attributes: { [attributeNames.syncMs]: 2.25, [attributeNames.unclean]: false },
        error: "DISK_FAILED",
      });
      produce.event("acknowledged", { [attributeNames.outcome]: "APPLIED" });
      produce.end();
      await shutdown();
      const spans = await receiver.waitForSpans(({ length }) => length === 2);
      const [child, parent] = ["flush", "broker produce"].map((name) => spans.find((span) => span.name === name));
      expect(parent).toMatchObject({
        kind: "server",
        traceId: produce.context.traceId,
        spanId: produce.context.spanId,
        parentSpanId: undefined,
        error: undefined,
        attributes: { "messaging.destination.name": "t", "tidemark.base_offset": 7, "tidemark.isr": ["1", "2"] },
        events: [{ name: "acknowledged", attributes: { "tidemark.outcome": "APPLIED" } }],
        resource: { "service.name": "tidemark-broker", "service.instance.id": "broker-1", zone: "a" },
      });
      expect(child).toMatchObject({
        kind: "internal",
        spanId: flush.spanId,
        parentSpanId: produce.context.spanId,
        links: [{ traceId: produce.context.traceId, spanId: produce.context.spanId }],
        attributes: { "tidemark.sync_ms": 2.25, "tidemark.unclean": false },
        error: "DISK_FAILED",
      });
      expect(Number((child?.endNanos ?? 0n) - (child?.startNanos ?? 0n))).toBe(2_500_000);
    },
  );

  test("of two services in one process stay apart", async () => {
    const environment = environmentOf("http/protobuf", receiver.httpUrl);
    const [one, two] = [
      await start({ environment, instanceId: "broker-1" }),
      await start({ environment, instanceId: "broker-2" }),
    ];
    one.tracer.record({ name: spanNames.append, parent: undefined });
    two.tracer.record({ name: spanNames.flush, parent: undefined });
    await Promise.all([one.shutdown(), two.shutdown()]);
    const spans = await receiver.waitForSpans(({ length }) => length === 2);
    expect(spans.map(({ name, resource }) => [name, resource["service.instance.id"]]).sort()).toEqual([
      ["append", "broker-1"],
      ["flush", "broker-2"],
    ]);
  });

  test("are nobody's business without a variable: nothing is sampled, nothing is sent", async () => {
    const { tracer, shutdown } = await start();
    expect(tracer.enabled).toBe(false);
    tracer.record({ name: spanNames.append, parent: undefined });
    await shutdown();
    expect(receiver.exports()).toBe(0);
    expect(lines).toEqual([]);
  });

  test("take one percent of what begins here unless the sampler is named", async () => {
    const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl, OTEL_METRICS_EXPORTER: "none" };
    const { tracer } = await start({ environment, runtime: { ...createNodeRuntime(), random: createSeededRandom(4) } });
    let sampled = 0;
    for (let call = 0; call < 100_000; call++) if (tracer.samples(undefined)) sampled += 1;
    expect(sampled / 100_000).toBeCloseTo(0.01, 2);
  });

  test("are called what OTEL_SERVICE_NAME says", async () => {
    const environment = environmentOf("http/protobuf", receiver.httpUrl, { OTEL_SERVICE_NAME: "mine" });
    const { tracer, shutdown } = await start({ environment });
    tracer.record({ name: spanNames.append, parent: undefined });
    await shutdown();
    expect(receiver.spans()[0]?.resource["service.name"]).toBe("mine");
  });
});

describe("a collector", () => {
  test.each(protocols)("that is down costs the spans, which are counted, and one line (%s)", async (protocol) => {
    const dead = protocol === "grpc" ? receiver.grpcUrl : receiver.httpUrl;
    await receiver.close();
    const environment = environmentOf(protocol, dead, {
      OTEL_EXPORTER_OTLP_TIMEOUT: "300",
      OTEL_BSP_SCHEDULE_DELAY: "1",
    });
    const telemetry = await start({ environment, metricsListener: anyPort });
    for (let span = 0; span < 10; span++) telemetry.tracer.record({ name: spanNames.append, parent: undefined });
    let text = "";
    while (!text.includes('tidemark_lost_spans_total{reason="export_failed"} 10')) {
      ({ text } = await scrape(telemetry));
    }
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "{}")).toMatchObject({ level: "warn", reason: "export_failed", exportFailed: 10 });
  });

  const answers = (["refuses", "busy", "full"] as const).flatMap((mood) =>
    protocols.map(([protocol, url]) => [mood, protocol, url] as const),
  );
  test.each(answers)("that %s costs the spans, which are counted (%s)", async (mood, protocol, url) => {
    receiver.setMood(mood);
    const limits = { OTEL_EXPORTER_OTLP_TIMEOUT: "300", OTEL_BSP_SCHEDULE_DELAY: "1" };
    const telemetry = await start({ environment: environmentOf(protocol, url(), limits), metricsListener: anyPort });
    for (let span = 0; span < 5; span++) telemetry.tracer.record({ name: spanNames.append, parent: undefined });
    let text = "";
    while (!text.includes('tidemark_lost_spans_total{reason="export_failed"} 5')) ({ text } = await scrape(telemetry));
    expect(receiver.exports()).toBeGreaterThan(0);
    expect(lines.join("")).toContain('"exportFailed":5');
  });

  const failures = (["is gone", "refuses", "busy", "full", "hangs"] as const).flatMap((mood) =>
    protocols.map(([protocol, url]) => [mood, protocol, url] as const),
  );
  test.each(failures)(
    "that %s costs pushes of metrics, which are counted, and one line (%s)",
    async (mood, protocol, url) => {
      const environment = {
        OTEL_EXPORTER_OTLP_ENDPOINT: url(),
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_EXPORTER_OTLP_TIMEOUT: "100",
        OTEL_TRACES_EXPORTER: "none",
        OTEL_METRIC_EXPORT_INTERVAL: "20",
      };
      if (mood === "is gone") await receiver.close();
      else receiver.setMood(mood);
      const telemetry = await start({ environment, metricsListener: anyPort });
      let text = "";
      while (!/^tidemark_failed_metric_pushes_total [2-9]/m.test(text)) ({ text } = await scrape(telemetry));
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0] ?? "{}")).toMatchObject({ level: "warn", failed: 1 });
      expect(lines[0]).toContain('"cause":"');
    },
  );

  test("that takes the metrics costs none of them", async () => {
    const environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl,
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRIC_EXPORT_INTERVAL: "20",
    };
    const telemetry = await start({ environment, metricsListener: anyPort });
    const pushes = () => receiver.metrics().filter(({ name }) => name === "tidemark_failed_metric_pushes_total").length;
    await receiver.waitUntil(() => pushes() > 1);
    expect((await scrape(telemetry)).text).toMatch(/^tidemark_failed_metric_pushes_total 0$/m);
    expect(lines).toEqual([]);
  });

  test("that is slow costs nothing while there is room", async () => {
    receiver.setMood("hangs");
    const environment = environmentOf("http/protobuf", receiver.httpUrl, {
      OTEL_EXPORTER_OTLP_TIMEOUT: "300",
      OTEL_BSP_SCHEDULE_DELAY: "1",
    });
    const telemetry = await start({ environment, metricsListener: anyPort });
    telemetry.tracer.record({ name: spanNames.append, parent: undefined });
    await receiver.waitUntil(() => receiver.exports() === 1);
    // These wait behind the one that hangs, until it is given up.
    for (let span = 0; span < 5; span++) telemetry.tracer.record({ name: spanNames.flush, parent: undefined });
    receiver.setMood("takes");
    await receiver.waitForSpans((spans) => spans.filter(({ name }) => name === "flush").length === 5);
    const { text } = await scrape(telemetry);
    expect(text).toContain('tidemark_lost_spans_total{reason="export_failed"} 1');
    expect(text).toContain('tidemark_lost_spans_total{reason="queue_full"} 0');
  });

  test("that never answers fills the queue, beyond which spans are dropped and counted, and holds up nobody", async () => {
    receiver.setMood("hangs");
    const environment = environmentOf("http/protobuf", receiver.httpUrl, {
      OTEL_BSP_MAX_QUEUE_SIZE: "8",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "4",
      OTEL_BSP_EXPORT_TIMEOUT: "600000",
      OTEL_EXPORTER_OTLP_TIMEOUT: "600000",
    });
    const time = createManualTime();
    const runtime: Runtime = { clock: time.clock, scheduler: time.scheduler, random: createSeededRandom(1) };
    const telemetry = await start({ environment, runtime, metricsListener: anyPort });
    for (let span = 0; span < 100; span++) telemetry.tracer.record({ name: spanNames.append, parent: undefined });
    expect((await scrape(telemetry)).text).toContain('tidemark_lost_spans_total{reason="queue_full"} 88');
    const stopping = telemetry.shutdown();
    await time.advance(2000);
    await stopping;
    expect(telemetry.shutdown()).toBe(stopping);
    expect(time.pending()).toBe(0);
  });
});

describe("metrics", () => {
  test("are served as Prometheus reads them, at a port that was free", async () => {
    const telemetry = await start({ metricsListener: anyPort });
    const { metrics } = telemetry;
    metrics.counter({ name: "tidemark_isr_shrinks_total", description: "ISR shrinks." }).add(2, { topic: 'a"b' });
    metrics.histogram({ name: "tidemark_flush_duration_seconds", description: "Flushes." }).record(0.003);
    metrics.histogram({ name: "tidemark_fetch_size_bytes", description: "Fetches." }).record(5000);
    let leaders = 3;
    const forget = metrics.observeGauge({ name: "tidemark_leaders", description: "Led." }, (report) => report(leaders));
    metrics.observeCounter({ name: "tidemark_appends_total", description: "Appends." }, (report) => {
      report(7, { partition: 0 });
      report(9, { partition: 1 });
    });
    const { status, text } = await scrape(telemetry);
    expect(status).toBe(200);
    for (const line of [
      "# TYPE tidemark_isr_shrinks_total counter",
      "# HELP tidemark_isr_shrinks_total ISR shrinks.",
      'tidemark_isr_shrinks_total{topic="a\\"b"} 2',
      'tidemark_flush_duration_seconds_bucket{le="0.0025"} 0',
      'tidemark_flush_duration_seconds_bucket{le="0.005"} 1',
      'tidemark_fetch_size_bytes_bucket{le="16384"} 1',
      "tidemark_leaders 3",
      'tidemark_appends_total{partition="1"} 9',
      "process_resident_memory_bytes ",
      "process_cpu_seconds_total ",
      "nodejs_heap_size_used_bytes ",
      'service_instance_id="broker-1"',
    ]) {
      expect(text).toContain(line);
    }
    leaders = 4;
    expect((await scrape(telemetry)).text).toContain("tidemark_leaders 4");
    forget();
    expect((await scrape(telemetry)).text).not.toContain("tidemark_leaders 4");
  });

  test("are served to who wants OpenMetrics with the last recorded trace of each bucket, and to others without", async () => {
    const runtime = { ...createNodeRuntime(), ...createManualTime(1_700_000_000_123) };
    const telemetry = await start({ metricsListener: anyPort, runtime });
    const name = "tidemark_produce_duration_seconds";
    const times = telemetry.metrics.histogram({ name, description: "Produces." });
    const labels = { acks: "all", outcome: "acknowledged" };
    times.record(0.0031, labels, { ...trace, spanId: "1".repeat(16) });
    times.record(0.0042, labels, trace);
    times.record(0.0043, labels, { ...trace, spanId: "2".repeat(16), sampled: false });
    times.record(0.0044, labels);
    times.record(99, { outcome: "failed", acks: "all" }, trace);
    telemetry.metrics.counter({ name: "tidemark_isr_shrinks_total", description: 'A "word".' }).add(2);
    const text = (await scrape(telemetry, "/metrics", "GET", "application/openmetrics-text;version=1.0.0")).text;
    const exemplar = (value: string) =>
      `# {trace_id="${trace.traceId}",span_id="${trace.spanId}"} ${value} 1700000000.123`;
    const lines = text.split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        `${name}_bucket{acks="all",outcome="acknowledged",le="0.0025"} 0`,
        `${name}_bucket{acks="all",outcome="acknowledged",le="0.005"} 4 ${exemplar("0.0042")}`,
        `${name}_bucket{acks="all",outcome="acknowledged",le="1.0"} 4`,
        `${name}_bucket{outcome="failed",acks="all",le="+Inf"} 1 ${exemplar("99")}`,
        "# TYPE tidemark_isr_shrinks counter",
        '# HELP tidemark_isr_shrinks A \\"word\\".',
        "tidemark_isr_shrinks_total 2",
        "# TYPE target info",
        `# TYPE ${name} histogram`,
      ]),
    );
    expect(lines.slice(-2)).toEqual(["# EOF", ""]);
    expect(lines.indexOf("")).toBe(lines.length - 1);
    expect((await scrape(telemetry)).text).not.toContain("trace_id");
  });

  test("are at one path, to be read only", async () => {
    const telemetry = await start({ metricsListener: anyPort });
    expect((await scrape(telemetry, "/")).status).toBe(404);
    expect((await scrape(telemetry, "/metrics/../etc")).status).toBe(404);
    expect((await scrape(telemetry, "/metrics", "POST")).status).toBe(405);
    expect((await scrape(telemetry, "/metrics?x=1")).status).toBe(200);
    expect((await scrape(telemetry, "/ready", "POST")).status).toBe(405);
  });

  test("stand beside a page that says whether the process is ready, for probes that speak no gRPC", async () => {
    let isReady = false;
    const telemetry = await start({ metricsListener: anyPort, isReady: () => isReady });
    expect(await scrape(telemetry, "/ready")).toEqual({ status: 503, text: "not ready\n" });
    isReady = true;
    expect(await scrape(telemetry, "/ready")).toEqual({ status: 200, text: "ready\n" });
  });

  test("stand beside a page about the process where that is asked for, and say how it is turned on where not", async () => {
    const silent = await start({ metricsListener: anyPort });
    const refused = await scrape(silent, "/debug");
    expect(refused.status).toBe(404);
    expect(refused.text).toContain("debug.page");
    const telemetry = await start({ metricsListener: anyPort, describe: (of) => ({ ...of, led: 3 }) });
    const told = await scrape(telemetry, "/debug");
    expect(told.status).toBe(200);
    expect(JSON.parse(told.text)).toMatchObject({ led: 3 });
    expect((await scrape(telemetry, "/debug", "POST")).status).toBe(405);
  });

  test("stand beside a page that answers also where the process cannot say how it is", async () => {
    const describe = () => {
      throw new Error("nobody knows");
    };
    const telemetry = await start({ metricsListener: anyPort, describe });
    const text = "The state cannot be told: Error: nobody knows\n";
    expect(await scrape(telemetry, "/debug")).toEqual({ status: 500, text });
    expect((await scrape(telemetry)).status).toBe(200);
  });

  test.each(protocols)("are pushed over %s when asked for", async (protocol, url) => {
    const environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT: url(),
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRIC_EXPORT_INTERVAL: "20",
    };
    const telemetry = await start({ environment });
    expect(telemetry.tracer.enabled).toBe(false);
    telemetry.metrics.counter({ name: "tidemark_isr_shrinks_total", description: "ISR shrinks." }).add(1);
    await receiver.waitUntil(() => receiver.metrics().some(({ name }) => name === "tidemark_isr_shrinks_total"));
    expect(receiver.metrics()[0]?.resource["service.instance.id"]).toBe("broker-1");
  });

  test("that are pushed say of a gauge what it is now: who is not told of any more is gone", async () => {
    const environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl,
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRIC_EXPORT_INTERVAL: "20",
    };
    const telemetry = await start({ environment });
    let follower: number | undefined = 2;
    telemetry.metrics.observeGauge({ name: "tidemark_high_watermark_lag_records", description: "Lag." }, (report) => {
      if (follower !== undefined) report(7, { follower });
    });
    const isToldIn = (push: readonly { readonly name: string }[]) =>
      push.some(({ name }) => name === "tidemark_high_watermark_lag_records");
    const pushes = () => {
      const told: { readonly name: string }[][] = [];
      for (const metric of receiver.metrics()) {
        // Each push tells of it once, before the gauge, which came later.
        if (metric.name === receiver.metrics()[0]?.name) told.push([]);
        told.at(-1)?.push(metric);
      }
      return told;
    };
    await receiver.waitUntil(() => pushes().some(isToldIn));
    follower = undefined;
    const before = pushes().length;
    // One may have been under way.
    await receiver.waitUntil(() => pushes().length >= before + 3);
    expect(
      pushes()
        .slice(before + 1)
        .filter(isToldIn),
    ).toEqual([]);
  });

  test("cannot be served at a port that is taken, and the error says which", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const failing = start({ metricsListener: { host: "127.0.0.1", port } });
    await expect(failing).rejects.toThrow(MetricsListenerError);
    await expect(failing).rejects.toThrow(`metrics.listener 127.0.0.1:${port} cannot be listened on (EADDRINUSE)`);
    await new Promise((resolve) => taken.close(resolve));
  });

  test("of a bomb of topics stay bounded: the rest is folded into one series", async () => {
    const telemetry = await start({ metricsListener: anyPort });
    const counter = telemetry.metrics.counter({ name: "tidemark_produced_records_total", description: "Records." });
    for (let topic = 0; topic < 10_000; topic++) counter.add(1, { topic: `t${topic}` });
    const { text } = await scrape(telemetry);
    const series = text.split("\n").filter((line) => line.startsWith("tidemark_produced_records_total{"));
    expect(series.length).toBeLessThanOrEqual(2000);
    expect(text).toContain('otel_metric_overflow="true"');
  });
});

test("variables that make no sense are named in the log, and the process starts", async () => {
  await start({ environment: { OTEL_TRACES_SAMPLER: "sometimes" } });
  expect(lines.join("")).toContain('OTEL_TRACES_SAMPLER \\"sometimes\\" is not known');
});
