import type { SamplingPolicy } from "./sampling.ts";
import type { SpanQueueLimits } from "./span-queue.ts";

/** The variables of OpenTelemetry's standard, as the process got them. */
export type OtelEnvironment = Readonly<Record<string, string | undefined>>;

/** Where a signal goes. */
export type Destination =
  | { readonly kind: "none" }
  | {
      readonly kind: "otlp";
      readonly protocol: "grpc" | "http/protobuf";
      /** Undefined: the standard's default, since only the exporter was asked for. */
      readonly url: string | undefined;
      readonly timeoutMs: number;
    };

/** What the variables ask for. */
export interface OtelPlan {
  readonly traces: Destination;
  readonly metrics: Destination;
  readonly metricsIntervalMs: number;
  readonly sampling: SamplingPolicy;
  readonly queue: SpanQueueLimits;
  /** OTEL_SERVICE_NAME. Undefined: the service's own name. */
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  /** What could not be followed, and what is done instead: to be logged. Never a reason not to start. */
  readonly complaints: readonly string[];
}

type Complain = (text: string) => void;

/**
 * Reads the variables. A signal is exported only where an exporter or an endpoint is named: the standard would dial a
 * collector on this machine, and most processes have none. `defaultRatio` is the share of traces that begin here
 * which are recorded when no sampler is named.
 */
export function readOtelEnvironment(environment: OtelEnvironment, defaultRatio: number): OtelPlan {
  const complaints: string[] = [];
  const complain: Complain = (text) => complaints.push(text);
  const off = environment.OTEL_SDK_DISABLED?.toLowerCase() === "true";
  const maxQueueSize = positive(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2048, complain);
  const batchSize = positive(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, complain);
  return {
    traces: off ? { kind: "none" } : destination(environment, "TRACES", complain),
    metrics: off ? { kind: "none" } : destination(environment, "METRICS", complain),
    metricsIntervalMs: positive(environment, "OTEL_METRIC_EXPORT_INTERVAL", 60_000, complain),
    sampling: sampling(environment, defaultRatio, complain),
    queue: {
      maxQueueSize,
      maxExportBatchSize: Math.min(batchSize, maxQueueSize),
      scheduledDelayMillis: positive(environment, "OTEL_BSP_SCHEDULE_DELAY", 5000, complain),
      exportTimeoutMillis: positive(environment, "OTEL_BSP_EXPORT_TIMEOUT", 30_000, complain),
    },
    serviceName: given(environment, "OTEL_SERVICE_NAME"),
    resourceAttributes: resourceAttributes(environment, complain),
    complaints,
  };
}

/** An empty variable counts as one that is not set, as the standard says. */
function given(environment: OtelEnvironment, name: string): string | undefined {
  const value = environment[name]?.trim();
  return value === "" ? undefined : value;
}

function destination(environment: OtelEnvironment, signal: "TRACES" | "METRICS", complain: Complain): Destination {
  const own = given(environment, `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
  const shared = given(environment, "OTEL_EXPORTER_OTLP_ENDPOINT");
  const exporter = given(environment, `OTEL_${signal}_EXPORTER`);
  if (exporter === undefined && own === undefined && shared === undefined) return { kind: "none" };
  const names = exporter?.split(",").map((name) => name.trim()) ?? ["otlp"];
  if (names.includes("none")) return { kind: "none" };
  // The Prometheus endpoint has a setting of its own, metrics.listener.
  for (const name of names.filter((each) => each !== "otlp" && each !== "prometheus")) {
    complain(`OTEL_${signal}_EXPORTER names "${name}", which is not supported: use otlp or none`);
  }
  if (!names.includes("otlp")) return { kind: "none" };

  const protocol = chosenProtocol(environment, signal, complain);
  const timeoutMs = positive(
    environment,
    given(environment, `OTEL_EXPORTER_OTLP_${signal}_TIMEOUT`) === undefined
      ? "OTEL_EXPORTER_OTLP_TIMEOUT"
      : `OTEL_EXPORTER_OTLP_${signal}_TIMEOUT`,
    10_000,
    complain,
  );
  const path = protocol === "grpc" ? "" : `/v1/${signal.toLowerCase()}`;
  // The endpoint of one signal is taken as it is; the shared one gets the signal's path over HTTP.
  const url = own ?? (shared === undefined ? undefined : `${shared.replace(/\/$/, "")}${path}`);
  if (url !== undefined && !isUrl(url, protocol)) {
    complain(`The OTLP endpoint "${url}" is no URL: ${signal.toLowerCase()} are not exported`);
    return { kind: "none" };
  }
  return { kind: "otlp", protocol, url, timeoutMs };
}

function chosenProtocol(
  environment: OtelEnvironment,
  signal: "TRACES" | "METRICS",
  complain: Complain,
): "grpc" | "http/protobuf" {
  const protocol =
    given(environment, `OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`) ??
    given(environment, "OTEL_EXPORTER_OTLP_PROTOCOL") ??
    "http/protobuf";
  if (protocol === "grpc" || protocol === "http/protobuf") return protocol;
  complain(`The OTLP protocol "${protocol}" is not supported: http/protobuf is used (there is grpc as well)`);
  return "http/protobuf";
}

function isUrl(url: string, protocol: "grpc" | "http/protobuf"): boolean {
  // gRPC allows host:port without a scheme.
  const full = protocol === "grpc" && !url.includes("://") ? `http://${url}` : url;
  return URL.canParse(full) && /^https?:$/.test(new URL(full).protocol);
}

function sampling(environment: OtelEnvironment, defaultRatio: number, complain: Complain): SamplingPolicy {
  const name = given(environment, "OTEL_TRACES_SAMPLER");
  const followsParent = name?.startsWith("parentbased_") ?? true;
  switch (name?.replace(/^parentbased_/, "")) {
    case undefined:
      return { followsParent, ratio: defaultRatio };
    case "always_on":
      return { followsParent, ratio: 1 };
    case "always_off":
      return { followsParent, ratio: 0 };
    case "traceidratio":
      return { followsParent, ratio: samplerRatio(environment, complain) };
    default:
      complain(`OTEL_TRACES_SAMPLER "${name}" is not known: parent-based sampling of ${defaultRatio} is used`);
      return { followsParent: true, ratio: defaultRatio };
  }
}

function samplerRatio(environment: OtelEnvironment, complain: Complain): number {
  const text = given(environment, "OTEL_TRACES_SAMPLER_ARG");
  const ratio = Number(text ?? 1);
  if (ratio >= 0 && ratio <= 1) return ratio;
  complain(`OTEL_TRACES_SAMPLER_ARG "${text}" is no number from 0 to 1: 1 is used, as the standard says`);
  return 1;
}

function positive(environment: OtelEnvironment, name: string, otherwise: number, complain: Complain): number {
  const text = given(environment, name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  complain(`${name} "${text}" is no whole number above 0: ${otherwise} is used`);
  return otherwise;
}

function resourceAttributes(environment: OtelEnvironment, complain: Complain): Record<string, string> {
  const attributes: Record<string, string> = {};
  const text = given(environment, "OTEL_RESOURCE_ATTRIBUTES");
  for (const pair of text?.split(",").filter((each) => each.trim() !== "") ?? []) {
    const [, name, value] = /^\s*([^=\s]+)\s*=(.*)$/.exec(pair) ?? [];
    const decoded = value === undefined ? undefined : percentDecoded(value.trim());
    if (name === undefined || decoded === undefined) {
      complain(`OTEL_RESOURCE_ATTRIBUTES has "${pair}", which is not key=value: it is left out`);
    } else attributes[name] = decoded;
  }
  return attributes;
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
