/** What goes into the images runs by itself: elsewhere, as nobody in particular, and ends when it is asked to. */
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { metricNames } from "@tidemark/telemetry";
import { runProgram, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { composeProcesses, deploy } from "../src/manifests.ts";
import { type Packed, packAll } from "../src/packed.ts";
import { environmentHere, type Place, placeFor, type Running, startProgram } from "../src/running.ts";

/** Whom Debian calls nobody. Only root can start a process as somebody else. */
const nobody = process.getuid?.() === 0 ? 65_534 : undefined;
const processes = composeProcesses("single");
let packed: Packed;
let place: Place;
const running = new Map<string, Running>();
/** What the collector was sent, which takes everything and never answers. */
const sent: Buffer[] = [];
const collector = createServer((request) => request.on("data", (piece: Buffer) => sent.push(piece)));

/** Traces everything, and waits for its collector for longer than any grace. */
function tracing(): Readonly<Record<string, string>> {
  const { port } = collector.address() as AddressInfo;
  return {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: "600000",
    OTEL_BSP_EXPORT_TIMEOUT: "600000",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_TRACES_SAMPLER: "always_on",
  };
}

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  packed = packAll();
  const data = join(packed.folder, "data");
  mkdirSync(data);
  if (nobody !== undefined) chownSync(data, nobody, nobody);
  place = await placeFor(processes, data);
});

afterAll(async () => {
  for (const each of running.values()) await each.kill();
  collector.close();
  collector.closeAllConnections();
  rmSync(packed.folder, { recursive: true });
});

const tidemark = (args: readonly string[], input = "") =>
  runProgram(packed.node, [packed.main("cli"), ...args], {
    input,
    cwd: packed.folder,
    env: { TIDEMARK_SERVER: place.addresses.get("gateway-1:4640") },
  });

test("every service starts from its folder alone, as nobody, and the cluster takes and gives records", async () => {
  for (const each of processes) {
    const started = await startProgram([packed.node, packed.main(each.role)], {
      cwd: join(packed.folder, "data"),
      env: { ...environmentHere(each, place), ...tracing(), TIDEMARK_DEBUG_PAGE: "true" },
      ...(nobody === undefined ? {} : { uid: nobody }),
    });
    running.set(each.name, started);
  }
  expect(await tidemark(["topic", "create", "kept"])).toMatchObject({ code: 0 });
  expect(await tidemark(["produce", "kept", "--acks", "all"], "one\ntwo\n")).toMatchObject({ code: 0 });
  const read = await tidemark(["consume", "kept", "--from", "earliest", "--until-end", "--format", "raw"]);
  expect(read.stdout.toString()).toBe("one\ntwo\n");
});

test("every service and the command line have their codecs with them", async () => {
  // A codec whose library is missing is only warned of: the service goes on without it.
  const named = (role: string) => processes.filter((each) => each.role === role).map(({ name }) => name);
  for (const name of [...named("broker"), ...named("gateway")])
    expect(running.get(name)?.output()).not.toContain("cannot be loaded");
  expect(await tidemark(["topic", "create", "packed"])).toMatchObject({ code: 0 });
  const codecs = ["gzip", "snappy", "lz4", "zstd"];
  const lines = (codec: string) => `${codec}\n`.repeat(100);
  for (const codec of codecs)
    expect(await tidemark(["produce", "packed", "--compression", codec], lines(codec))).toMatchObject({ code: 0 });
  const read = await tidemark(["consume", "packed", "--from", "earliest", "--until-end", "--format", "raw"]);
  expect(read.stdout.toString()).toBe(codecs.map(lines).join(""));
});

/** Where a process told that its metrics are. */
function metricsOf(each: Running): string {
  const ready = each
    .output()
    .split("\n")
    .find((line) => line.includes('"ready":true'));
  return (JSON.parse(ready ?? "{}") as { endpoints: { metrics: string } }).endpoints.metrics;
}

test("every service tells of itself at /debug, where that is turned on", async () => {
  const told = new Map<string, Record<string, unknown>>();
  for (const [name, each] of running) {
    const page = (await (await fetch(`http://${metricsOf(each)}/debug`)).json()) as Record<string, unknown>;
    expect(page).toMatchObject({ ready: true, settings: { "debug.page": { value: "true" } } });
    told.set(name, page["service"] as Record<string, unknown>);
  }
  expect(told.get("controller-1")).toMatchObject({ active: true, topics: 2, sessions: 3 });
  expect(told.get("gateway-1")).toMatchObject({ brokers: 3, queuedBytes: { used: expect.any(Number) as number } });
  const led = ["broker-1", "broker-2", "broker-3"].map((name) => Number(told.get(name)?.["led"]));
  expect(led.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
});

/** Of everything that the cluster tells: the series' name, and its labels with those that Prometheus adds. */
async function toldSeries(): Promise<readonly { readonly name: string; readonly labels: ReadonlySet<string> }[]> {
  const told = [];
  for (const each of running.values()) {
    const text = await (await fetch(`http://${metricsOf(each)}/metrics`)).text();
    for (const [, name = "", labels = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
      const own = Array.from(labels.matchAll(/(\w+)="/g), ([, label = ""]) => label);
      told.push({ name, labels: new Set([...own, "instance", "job", "role"]) });
    }
  }
  return told;
}

test("every metric of the dashboard is told by some process of the cluster that took and gave records", async () => {
  const told = new Set((await toldSeries()).map(({ name }) => name.replace(/_(?:bucket|sum|count)$/, "")));
  const expected = Object.values(metricNames).filter((name) => name.startsWith("tidemark_"));
  expect(expected.filter((name) => !told.has(name))).toEqual([]);
});

/** The series that an expression reads: names, and the labels by which it chooses or groups them. */
function readBy(expression: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  const grouped = Array.from(expression.matchAll(/\bby \(([\w, ]+)\)/g), ([, labels = ""]) =>
    labels.split(/, */),
  ).flat();
  const series = /\b((?:tidemark|process|nodejs)_\w+)(?:\{([^}]*)\})?/g;
  return Array.from(expression.matchAll(series), ([, name = "", chosen = ""]) => ({
    name,
    labels: [...new Set([...grouped, ...Array.from(chosen.matchAll(/(\w+)[=!]/g), ([, label = ""]) => label)])],
  }));
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

test("every panel reads series that some process tells, by the labels that they have, and names its lines by what is left of these", async () => {
  const told = await toldSeries();
  const folder = join(deploy, "observability", "grafana", "dashboards");
  const panels = readdirSync(folder).flatMap(
    (file) => (JSON.parse(readFileSync(join(folder, file), "utf8")) as { panels: Panel[] }).panels,
  );
  const wrong = panels.flatMap(({ title, targets = [] }) =>
    targets.flatMap(({ expr, legendFormat }) => {
      const shown = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, label = ""]) => label);
      return readBy(expr).flatMap(({ name, labels }) => {
        const there = told.filter((series) => series.name === name);
        const needed = [...labels, ...shown];
        const isTold = there.some((series) => needed.every((label) => series.labels.has(label)));
        // A sum keeps no label but those that it is grouped by; the quantile of a histogram uses up `le`.
        const isKept = !/\b(?:sum|max|min|avg)\b/.test(expr) || shown.every((label) => labels.includes(label));
        const lines = labels.filter((label) => label !== "le");
        const areApart = !/\bby\b/.test(expr) || lines.every((label) => shown.includes(label));
        return isTold && isKept && areApart ? [] : [`${title}: ${name} by ${needed.join(", ")}`];
      });
    }),
  );
  expect(panels.length).toBeGreaterThan(0);
  expect(wrong).toEqual([]);
});

/** The commands of ours that alerts tell people to run, without the one that never ends. */
function commandsOfAlerts(): readonly (readonly string[])[] {
  const text = readFileSync(join(deploy, "observability", "alerts.yaml"), "utf8");
  const told = new Set(Array.from(text.matchAll(/`tidemark ([^`]+)`/g), ([, command = ""]) => command));
  return [...told].filter((command) => command !== "events tail").map((command) => command.split(" "));
}

test("every command that an alert names is one that the command line has", async () => {
  const commands = commandsOfAlerts();
  expect(commands.length).toBeGreaterThan(3);
  for (const command of commands) {
    const { code, stderr } = await tidemark(command);
    expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: "" });
  }
});

test("every alert reads series that some process tells, by the labels that they have", async () => {
  const told = await toldSeries();
  const { groups } = parse(readFileSync(join(deploy, "observability", "alerts.yaml"), "utf8")) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  const missing = groups.flatMap(({ rules }) =>
    rules.flatMap(({ alert, expr }) =>
      readBy(expr).flatMap(({ name, labels }) => {
        const isTold = told.some((series) => series.name === name && labels.every((label) => series.labels.has(label)));
        return isTold ? [] : [`${alert}: ${name} by ${labels.join(", ")}`];
      }),
    ),
  );
  expect(missing).toEqual([]);
});

test("every service stops by itself within the grace that its manifest gives, though its collector hangs", async () => {
  // The command line goes to leaders directly: the gateway has something to tell of what goes through it.
  const gateway = place.addresses.get("gateway-1:4640") ?? "";
  const answer = await fetch(`http://${gateway}/tidemark.log.v1.LogService/Produce`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ topic: "kept", records: [{ text: "three" }] }),
  });
  expect(answer.status).toBe(200);
  const all = () => Buffer.concat(sent).toString("latin1");
  await waitFor("every process to wait for the collector", () => processes.every(({ name }) => all().includes(name)));
  // As compose does it: those that depend on others first.
  for (const { name, graceMs } of [...processes].reverse()) {
    const stopped = running.get(name)?.stop();
    const late = AbortSignal.timeout(graceMs);
    const killed = new Promise((resolve) => late.addEventListener("abort", () => resolve("killed")));
    expect(await Promise.race([stopped, killed]), `${name}: ${running.get(name)?.output()}`).toBe(0);
  }
});
