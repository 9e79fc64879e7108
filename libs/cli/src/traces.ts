import { createNodeRuntime } from "@tidemark/runtime";

/**
 * Exports the spans of the SDK where the standard OTEL_* variables name somewhere to send them; what a person runs by
 * hand is recorded whole unless a sampler is named. Resolves with what sends the last of them; undefined where there is
 * nothing to do, and then nothing of it is loaded.
 */
export async function startTraces(env: NodeJS.ProcessEnv): Promise<(() => Promise<void>) | undefined> {
  const { OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = env;
  if (!(OTEL_TRACES_EXPORTER || OTEL_EXPORTER_OTLP_ENDPOINT || OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)) return undefined;
  const { startTelemetry } = await import("@tidemark/telemetry");
  const telemetry = await startTelemetry({
    service: "tidemark-client",
    instanceId: `cli-${process.pid}`,
    runtime: createNodeRuntime(),
    scope: "process",
    // Metrics of a command that is over in a moment are of no use.
    environment: { ...withEveryTrace(env), OTEL_METRICS_EXPORTER: "none" },
    logLevel: "warn",
    metricsListener: undefined,
  });
  return () => telemetry.shutdown();
}

/** The variables with a sampler that records every trace, unless they name one. */
export function withEveryTrace(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const sampler = env.OTEL_TRACES_SAMPLER;
  return { ...env, OTEL_TRACES_SAMPLER: sampler === undefined || sampler === "" ? "parentbased_always_on" : sampler };
}
