import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../free-ports.ts";
import type { ReceivedSpan } from "../otlp-decode.ts";
import { readJaegerTraces } from "../traces/otlp-json.ts";
import { exportingTo, type SpanStore } from "../traces/span-store.ts";
import { waitFor } from "../wait-for.ts";

/** A Jaeger of one's own, on ports of its own, with its traces in memory. */
export interface Jaeger extends SpanStore {
  /** Where its pages and its query API are. */
  readonly url: string;
  /**
   * The links of a trace as its older API shows them, `/api/traces`: references of the type FOLLOWS_FROM, each as the
   * ids of the span that has it and of the span that it leads to.
   */
  followsFrom(traceId: string): Promise<readonly { readonly from: string; readonly to: string }[]>;
}

const tracesMax = 5000;

/** Starts the program at `path` and resolves when it answers. */
export async function startJaeger(path: string): Promise<Jaeger> {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-jaeger-"));
  const [http = 0, grpc = 0, otlp = 0] = await freePorts(3);
  const config = join(folder, "jaeger.json");
  writeFileSync(config, JSON.stringify(configuration({ http, grpc, otlp })));
  let printed = "";
  const child = spawn(path, ["--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (printed += String(piece)));
  const url = `http://127.0.0.1:${http}`;
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  await waitFor("Jaeger to answer, or to end", async () => hasEnded() || (await fetch(`${url}/api/services`)).ok);
  if (hasEnded()) throw new Error(`Jaeger did not start:\n${printed}`);

  return {
    url,
    environment: exportingTo(`http://127.0.0.1:${otlp}`),
    async spans() {
      const { services } = (await ask(`${url}/api/v3/services`)) as { services?: readonly string[] };
      // A trace of several services is found by each of them.
      const found = new Map<string, ReceivedSpan>();
      // One query after another: Jaeger, asked for one trace twice at once, now and then gives a resource the value of
      // another of its attributes as its service's name.
      for (const service of services ?? []) {
        for (const span of await tracesOf(url, service)) found.set(`${span.traceId} ${span.spanId}`, span);
      }
      return [...found.values()];
    },
    async followsFrom(traceId) {
      const { data } = (await ask(`${url}/api/traces/${traceId}`)) as { data: readonly LegacyTrace[] };
      return data.flatMap(({ spans }) =>
        spans.flatMap(({ spanID, references }) =>
          references
            .filter(({ refType }) => refType === "FOLLOWS_FROM")
            .map((reference) => ({ from: spanID, to: reference.spanID })),
        ),
      );
    },
    async close() {
      if (!hasEnded()) {
        // It takes its time to end in order, and keeps nothing.
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface LegacyTrace {
  readonly spans: readonly {
    readonly spanID: string;
    readonly references: readonly { readonly refType: string; readonly spanID: string }[];
  }[];
}

async function ask(url: string): Promise<unknown> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

async function tracesOf(url: string, service: string): Promise<readonly ReceivedSpan[]> {
  const query = new URLSearchParams({
    "query.service_name": service,
    "query.start_time_min": "2000-01-01T00:00:00Z",
    "query.start_time_max": "2100-01-01T00:00:00Z",
    "query.num_traces": String(tracesMax - 1),
  });
  const answer = await fetch(`${url}/api/v3/traces?${query.toString()}`);
  // Of a service that has no trace yet.
  if (answer.status === 404) return [];
  if (!answer.ok) throw new Error(`Jaeger answered ${answer.status}: ${await answer.text()}`);
  return readJaegerTraces(await answer.text());
}

function configuration(ports: { readonly http: number; readonly grpc: number; readonly otlp: number }) {
  const at = (port: number) => ({ endpoint: `127.0.0.1:${port}` });
  return {
    service: {
      extensions: ["jaeger_storage", "jaeger_query"],
      pipelines: { traces: { receivers: ["otlp"], exporters: ["jaeger_storage_exporter"] } },
      telemetry: { metrics: { level: "none" }, logs: { level: "error" } },
    },
    extensions: {
      jaeger_storage: { backends: { memory_store: { memory: { max_traces: tracesMax } } } },
      jaeger_query: { storage: { traces: "memory_store" }, http: at(ports.http), grpc: at(ports.grpc) },
    },
    receivers: { otlp: { protocols: { grpc: at(ports.otlp) } } },
    exporters: { jaeger_storage_exporter: { trace_storage: "memory_store" } },
  };
}
