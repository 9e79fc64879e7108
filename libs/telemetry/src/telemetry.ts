import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { SpanProcessor } from "@opentelemetry/sdk-trace";
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_NAME } from "@opentelemetry/semantic-conventions";
import { delay, type Random, type Runtime, type Scheduler } from "@tidemark/runtime";
import { createExemplars } from "./exemplars.ts";
import { createMetricPusher, createTraceExporter } from "./exporters.ts";
import { createFailedPushes } from "./failed-pushes.ts";
import { createSpanKeeper, type KeptSpan } from "./kept-spans.ts";
import { createLogger, type Logger, type LogLevel } from "./logger.ts";
import { createLostSpans } from "./lost-spans.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { ServiceName } from "./names.ts";
import { type OtelEnvironment, type OtelPlan, readOtelEnvironment } from "./otel-environment.ts";
import { observeEventLoopLag, observeProcess } from "./process-metrics.ts";
import { type MetricsEndpoint, startMetricsEndpoint } from "./prometheus-endpoint.ts";
import { createPrometheusReader, type PrometheusReader } from "./prometheus-reader.ts";
import { isolatedProviders, type Providers, processProviders } from "./providers.ts";
import { createSpanQueue } from "./span-queue.ts";
import { createDisabledTracer, createTracer, type Tracer } from "./tracer.ts";

/** Share of traces beginning here that are recorded where nothing else is said. */
const defaultSamplingRatio = 0.01;
/** What a process gives its last spans when it stops: a collector that is down shall not hold up a restart. */
const shutdownLimitMs = 2000;

export interface TelemetryOptions {
  readonly service: ServiceName;
  /** `service.instance.id`: unlike that of any other process of the cluster, the same after a restart. */
  readonly instanceId: string;
  readonly runtime: Runtime;
  /**
   * `process`: registered for the whole process, as a program does. `isolated`: for several services in one process.
   * Absent: isolated.
   */
  readonly scope?: "process" | "isolated";
  /** The OTEL_* variables. */
  readonly environment: OtelEnvironment;
  readonly logLevel: LogLevel;
  /** Where Prometheus may fetch the metrics; port 0 takes a free one. Undefined: nowhere. */
  readonly metricsListener: { readonly host: string; readonly port: number } | undefined;
  /** What `/ready` beside the metrics tells. Absent: ready. */
  readonly isReady?: () => boolean;
  /** What `/debug` beside the metrics tells, as JSON. `eventLoopLagMs`: how late the last timer ran. Absent: no such page. */
  readonly describe?: ((of: { readonly eventLoopLagMs: number | undefined }) => unknown) | undefined;
  /** Takes the spans in place of a collector, each when it ends. Absent: OTEL_* says where they go. */
  readonly keep?: SpanKeeping | undefined;
  /** Takes each log line. Unset: standard error. */
  readonly writeLog?: (line: string) => void;
}

export interface SpanKeeping {
  readonly onSpan: (span: KeptSpan) => void;
  /** Ids and the choice of what is sampled are drawn from it. */
  readonly random: Random;
}

export interface Telemetry {
  readonly tracer: Tracer;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Where the metrics can be fetched. Undefined where that was not asked for. */
  readonly metricsEndpoint: { readonly host: string; readonly port: number } | undefined;
  /**
   * Sends what is left, for two seconds at most, and closes everything. Never rejects; a second call waits for the
   * first. An export that hangs goes on until its own timeout, so a program ends by `process.exit`.
   */
  shutdown(): Promise<void>;
}

/**
 * Traces, metrics and logs of one process, by OpenTelemetry's standard variables. Without any of them nothing is
 * exported and nothing is dialled.
 *
 * Rejects with a `MetricsListenerError` and leaves nothing open then; everything else that is wrong is logged and done
 * without.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, instanceId, runtime, metricsListener, keep } = options;
  const plan = readOtelEnvironment(options.environment, defaultSamplingRatio);
  const logger = createLogger({
    clock: runtime.clock,
    level: options.logLevel,
    service,
    instanceId,
    write: options.writeLog,
  });
  for (const complaint of plan.complaints) logger.warn(complaint);

  const resource = createResource(options, plan);
  const exemplars = metricsListener === undefined ? undefined : createExemplars(runtime.clock);
  const scraped = exemplars && createPrometheusReader(exemplars);
  const pushed = createMetricPusher(plan.metrics, plan.metricsIntervalMs, (error) => onPushFailed(error));
  const readers = [scraped?.reader, pushed].filter((reader) => reader !== undefined);
  const providers = options.scope === "process" ? processProviders(resource) : isolatedProviders(resource);
  const meters = providers.meters(readers);
  const metrics = createMetrics(meters.meter, exemplars);
  const onPushFailed = createFailedPushes({ clock: runtime.clock, logger, metrics });
  const lag = readers.length === 0 ? undefined : observeEventLoopLag(metrics, runtime);
  const observers = lag === undefined ? [] : [observeProcess(metrics, runtime.clock), () => lag.stop()];
  const endpoint = await startEndpoint(options, scraped, {
    shutdown: () => {
      for (const stopObserving of observers) stopObserving();
      return meters.shutdown();
    },
    lagMs: () => lag?.lastMs(),
  });
  const { onLost } = createLostSpans({ clock: runtime.clock, logger, metrics });
  const exporter = createTraceExporter(plan.traces);
  const queue = exporter === undefined ? undefined : createSpanQueue({ exporter, limits: plan.queue, onLost });
  const stop = async () => {
    for (const stopObserving of observers) stopObserving();
    const closing = [queue?.shutdown(), endpoint?.close(), meters.shutdown()].filter((each) => each !== undefined);
    await settleWithin(runtime.scheduler, shutdownLimitMs, closing);
  };
  let stopping: Promise<void> | undefined;
  return {
    tracer: createTracerFor(queue, { runtime, plan, providers, keep }),
    metrics,
    logger,
    metricsEndpoint: endpoint === undefined ? undefined : { host: endpoint.host, port: endpoint.port },
    shutdown: () => (stopping ??= stop()),
  };
}

/** Resolves when all have settled, or after `limitMs`. */
async function settleWithin(scheduler: Scheduler, limitMs: number, all: readonly Promise<unknown>[]): Promise<void> {
  const limit = new AbortController();
  const tooLong = delay(scheduler, limitMs, limit.signal).catch(() => undefined);
  await Promise.race([Promise.allSettled(all), tooLong]);
  limit.abort();
}

function createTracerFor(
  processor: SpanProcessor | undefined,
  of: {
    readonly runtime: Runtime;
    readonly plan: OtelPlan;
    readonly providers: Providers;
    readonly keep: SpanKeeping | undefined;
  },
): Tracer {
  const { runtime, plan, providers, keep } = of;
  const { clock, random } = runtime;
  const common = { clock, sampling: plan.sampling, providers };
  if (keep !== undefined) {
    return createTracer({ ...common, random: keep.random, processor: createSpanKeeper(keep.onSpan) });
  }
  if (processor === undefined) return createDisabledTracer(random);
  return createTracer({ ...common, random, processor });
}

/** Ours win over OTEL_RESOURCE_ATTRIBUTES, which several processes share; OTEL_SERVICE_NAME wins over ours. */
function createResource({ service, instanceId }: TelemetryOptions, plan: OtelPlan): Resource {
  return defaultResource()
    .merge(resourceFromAttributes(plan.resourceAttributes))
    .merge(
      resourceFromAttributes({
        [ATTR_SERVICE_NAME]: plan.serviceName ?? service,
        [ATTR_SERVICE_INSTANCE_ID]: instanceId,
      }),
    );
}

async function startEndpoint(
  { metricsListener: at, isReady = () => true, describe }: TelemetryOptions,
  scraped: PrometheusReader | undefined,
  of: { readonly shutdown: () => Promise<void>; readonly lagMs: () => number | undefined },
): Promise<MetricsEndpoint | undefined> {
  if (at === undefined || scraped === undefined) return undefined;
  try {
    return await startMetricsEndpoint(at, {
      render: (format) => scraped.render(format),
      isReady,
      describe: describe && (() => describe({ eventLoopLagMs: of.lagMs() })),
    });
  } catch (error) {
    await of.shutdown();
    throw error;
  }
}
