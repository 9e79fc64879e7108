/** Stands in for the suite's telemetry where its cost is measured: logs, and neither counts nor traces anything. */
import { createDisabledTracer, createLogger, type Telemetry, type TelemetryOptions } from "@tidemark/telemetry";

const nothing = () => undefined;

export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, instanceId, runtime, logLevel: level } = options;
  return {
    tracer: createDisabledTracer(runtime.random),
    metrics: {
      counter: () => ({ add: nothing }),
      histogram: () => ({ record: nothing }),
      observeGauge: () => nothing,
      observeCounter: () => nothing,
    },
    logger: createLogger({ clock: runtime.clock, level, service, instanceId, write: undefined }),
    metricsEndpoint: undefined,
    shutdown: async () => undefined,
  };
}
