/** Shares of what a process's main thread was busy with: 0 to 1, what is told by nothing is the rest. */
export interface BusyShares {
  readonly spans: number;
  readonly metrics: number;
  /** The collection of garbage, whoever left it. */
  readonly collection: number;
  /** Milliseconds that it was busy, of which these are shares. */
  readonly busyMs: number;
}

/** As V8's profiler tells it (`Profiler.Profile` of the DevTools protocol). */
export interface CpuProfile {
  /** The root is the first. */
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[] | undefined;
  }[];
  /** What ran at each moment, by its node. */
  readonly samples?: readonly number[] | undefined;
  /** Microseconds before each of these moments. */
  readonly timeDeltas?: readonly number[] | undefined;
}

type Part = "spans" | "metrics" | "collection" | "idle" | "rest";

/**
 * Whose code a frame is, by what its address contains. Spans: what makes them from what happened, OpenTelemetry's part of
 * it, and HTTP/1.1, by which nothing but they leaves a broker.
 */
export const owned: Readonly<Record<"spans" | "metrics", readonly string[]>> = {
  spans: [
    "node:http",
    "node:_http",
    "/@opentelemetry/api/",
    "/@opentelemetry/core/",
    "/@opentelemetry/exporter-trace-otlp-proto/",
    "/@opentelemetry/otlp-exporter-base/",
    "/@opentelemetry/otlp-transformer/",
    "/@opentelemetry/sdk-trace/",
    "/libs/telemetry/src/attributes.ts",
    "/libs/telemetry/src/error-allowance.ts",
    "/libs/telemetry/src/exporters.ts",
    "/libs/telemetry/src/sampling.ts",
    "/libs/telemetry/src/span-queue.ts",
    "/libs/telemetry/src/trace-context.ts",
    "/libs/telemetry/src/tracer.ts",
    "/libs/telemetry/src/wall-anchor.ts",
    "/services/broker/src/api/fetch-trace.ts",
    "/services/broker/src/api/produce-trace.ts",
    "/services/broker/src/partition/timeline.ts",
    "/services/broker/src/tracing/",
  ],
  metrics: [
    "/@opentelemetry/sdk-metrics/",
    "/libs/telemetry/src/exemplars.ts",
    "/libs/telemetry/src/metrics.ts",
    "/libs/telemetry/src/process-metrics.ts",
  ],
};

/** What is called by somebody's code is his too. */
export function busyShares({ nodes, samples = [], timeDeltas = [] }: CpuProfile): BusyShares {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const partOf = new Map<number, Part>();
  const visit = (id: number, caller: Part) => {
    const node = byId.get(id);
    if (node === undefined) return;
    const part = caller === "rest" ? ownPart(node.callFrame) : caller;
    partOf.set(id, part);
    for (const child of node.children ?? []) visit(child, part);
  };
  const [root] = nodes;
  if (root !== undefined) visit(root.id, "rest");
  const ms: Record<Part, number> = { spans: 0, metrics: 0, collection: 0, idle: 0, rest: 0 };
  samples.forEach((id, at) => {
    ms[partOf.get(id) ?? "rest"] += (timeDeltas[at] ?? 0) / 1000;
  });
  const busyMs = ms.spans + ms.metrics + ms.collection + ms.rest;
  return { spans: ms.spans / busyMs, metrics: ms.metrics / busyMs, collection: ms.collection / busyMs, busyMs };
}

function ownPart({ functionName, url }: { readonly functionName: string; readonly url: string }): Part {
  if (functionName === "(garbage collector)") return "collection";
  if (functionName === "(idle)") return "idle";
  if (owned.spans.some((place) => url.includes(place))) return "spans";
  return owned.metrics.some((place) => url.includes(place)) ? "metrics" : "rest";
}
