/** What Prometheus itself says of its settings and of the alerts. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { metricNames, startTelemetry, type TelemetryOptions } from "@tidemark/telemetry";
import { mustRun, runProgram } from "@tidemark/testkit";
import { getJaegerBinary } from "@tidemark/testkit/jaeger";
import { isAbsent, testWith } from "@tidemark/testkit/outside";
import { describe, expect, test } from "vitest";
import { deploy } from "../src/manifests.ts";
import { needPromtool, withFolder } from "./tools.ts";

const observability = join(deploy, "observability");

describe("Prometheus", () => {
  testWith("promtool", "takes prometheus.yaml with the alerts", async () => {
    const said = await mustRun(await needPromtool(), ["check", "config", join(observability, "prometheus.yaml")]);
    expect(said).toMatch(/alerts\.yaml\n.*SUCCESS: \d+ rules found/);
  });

  testWith("promtool", "raises each alert for what it is about, and not before", async () => {
    const promtool = await needPromtool();
    const rules = join(deploy, "interop", "alerts.yaml");
    expect(await mustRun(promtool, ["test", "rules", rules])).toContain("SUCCESS");
    const names = readFileSync(join(observability, "alerts.yaml"), "utf8").matchAll(/alert: (\w+)/g);
    const tried = new Set(Array.from(readFileSync(rules, "utf8").matchAll(/alertname: (\w+)/g), ([, name]) => name));
    expect(tried).toEqual(new Set(Array.from(names, ([, name]) => name)));
  });
});

test("the collector takes collector.yaml, and not one that was spoiled [jaeger]", async (context) => {
  // Jaeger is a collector with parts of its own, and has every part that is named here.
  const binary = getJaegerBinary();
  if (binary.kind === "absent") return isAbsent(context, "jaeger", binary.why);
  const sound = readFileSync(join(observability, "collector.yaml"), "utf8");
  const validate = (settings: string) =>
    withFolder(async (folder) => {
      const file = join(folder, "collector.yaml");
      writeFileSync(file, settings);
      return runProgram(binary.path, ["validate", "--config", file]);
    });
  expect(await validate(sound)).toMatchObject({ code: 0 });
  for (const { from, to, told } of [
    { from: "check_interval: 1s", to: "check_interval: 0s", told: "check_interval" },
    { from: "exporters: [otlp/jaeger]", to: "exporters: [otlp/other]", told: "otlp/other" },
  ]) {
    const { code, stderr } = await validate(sound.replace(from, to));
    expect(code).toBe(1);
    expect(stderr).toContain(told);
  }
}, 600_000);

/** Samples get a time, as `tsdb create-blocks-from` needs it: behind the value, before the exemplar. */
const withTimes = (text: string) =>
  text.replace(/^(?!#)(.*?) (\S+)( # .*)?$/gm, (_, series: string, value: string, exemplar = "") =>
    [series, value, `1700000000${exemplar}`].join(" "),
  );

/** Time stands still. */
const atRest: TelemetryOptions["runtime"] = {
  clock: { monotonicMs: () => 0, wallMs: () => 1_700_000_000_123 },
  scheduler: { after: () => () => undefined, afterInput: () => () => undefined },
  random: { next: () => 0, bytes: (length) => new Uint8Array(length) },
};

/** OpenMetrics as a broker serves them, with an exemplar. */
async function scrapedMetrics(): Promise<string> {
  const telemetry = await startTelemetry({
    service: "tidemark-broker",
    instanceId: 'broker-"1"',
    runtime: atRest,
    environment: {},
    logLevel: "fatal",
    metricsListener: { host: "127.0.0.1", port: 0 },
  });
  try {
    const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, traceState: undefined };
    const { metrics } = telemetry;
    const times = metrics.histogram({ name: "tidemark_produce_duration_seconds", description: 'The "time".' });
    times.record(0.004, { acks: "all" }, trace);
    metrics.counter({ name: metricNames.isrShrinks, description: "Shrinks." }).add(2);
    const { host = "", port = 0 } = telemetry.metricsEndpoint ?? {};
    const headers = { accept: "application/openmetrics-text;version=1.0.0" };
    return await (await fetch(`http://${host}:${port}/metrics`, { headers })).text();
  } finally {
    await telemetry.shutdown();
  }
}

describe("OpenMetrics with exemplars", () => {
  const blocksFrom = async (text: string) =>
    withFolder(async (folder) => {
      const file = join(folder, "metrics");
      writeFileSync(file, withTimes(text));
      const args = ["tsdb", "create-blocks-from", "openmetrics", file, join(folder, "blocks")];
      const { code, stdout, stderr } = await runProgram(await needPromtool(), args);
      return { code, told: `${stdout.toString()}${stderr}` };
    });

  testWith("promtool", "are what Prometheus' own parser takes", async () => {
    const text = await scrapedMetrics();
    expect(text).toMatch(/_bucket\{acks="all",le="0.005"\} 1 # \{trace_id="a+",span_id="b+"\} 0.004 \d+\.\d{3}\n/);
    expect(await blocksFrom(text)).toMatchObject({ code: 0 });
    expect((await blocksFrom(text.replace("# {trace_id=", "# {trace_id"))).code).not.toBe(0);
    expect((await blocksFrom(text.replace("# EOF", ""))).code).not.toBe(0);
  });
});

const spoils = [
  { says: "an expression that is none", file: "alerts.yaml", from: "sum(rate(", to: "sum(rate((", told: "parse" },
  { says: "a field of no schema", file: "prometheus.yaml", from: "rule_files", to: "rules_files", told: "rules_files" },
];

describe("a setting of Prometheus that was spoiled", () => {
  for (const { says, file, from, to, told } of spoils) {
    testWith("promtool", `by ${says} is refused, and by that name`, async () => {
      const promtool = await needPromtool();
      await withFolder(async (folder) => {
        cpSync(observability, folder, { recursive: true });
        writeFileSync(join(folder, file), readFileSync(join(folder, file), "utf8").replace(from, to));
        const { code, stdout, stderr } = await runProgram(promtool, [
          "check",
          "config",
          join(folder, "prometheus.yaml"),
        ]);
        expect(code).not.toBe(0);
        expect(`${stdout.toString()}${stderr}`).toContain(told);
      });
    });
  }
});
