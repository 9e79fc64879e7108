import { type Meter, metrics, type Tracer as SdkTracer, trace } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import { type IMetricReader, MeterProvider } from "@opentelemetry/sdk-metrics";
import { NodeSDK, type NodeSDKConfiguration } from "@opentelemetry/sdk-node";
import { type SpanProcessor, TracerProvider, type TracerProviderOptions } from "@opentelemetry/sdk-trace";

/** How the provider of a tracer decides and names. */
export type TracerSetup = Pick<TracerProviderOptions, "sampler" | "spanLimits" | "idGenerator">;

/** Makes what OpenTelemetry's signals come from. */
export interface Providers {
  tracer(processor: SpanProcessor, setup: TracerSetup): SdkTracer;
  meters(readers: readonly IMetricReader[]): { readonly meter: Meter; shutdown(): Promise<void> };
}

const scopeName = "tidemark";

/**
 * For a program: OpenTelemetry's Node SDK, which registers for the whole process, so that the code of others in it
 * (a library with instrumentation of its own) reports to the same place. Environment variables were read before; the
 * SDK gets everything as values, and detects nothing.
 */
export function processProviders(resource: Resource): Providers {
  const start = (configuration: Partial<NodeSDKConfiguration>): NodeSDK => {
    const sdk = new NodeSDK({
      resource,
      autoDetectResources: false,
      instrumentations: [],
      logRecordProcessors: [],
      metricReaders: [],
      spanProcessors: [],
      textMapPropagator: null,
      ...configuration,
    });
    sdk.start();
    return sdk;
  };
  return {
    tracer(processor, setup) {
      start({ ...setup, spanProcessors: [processor] });
      return trace.getTracer(scopeName);
    },
    meters(readers) {
      const sdk = start({ metricReaders: [...readers] });
      return { meter: metrics.getMeter(scopeName), shutdown: () => sdk.shutdown() };
    },
  };
}

/** Several services in one process, as in tests and simulations: nothing is registered, nobody sees another's spans. */
export function isolatedProviders(resource: Resource): Providers {
  return {
    tracer: (processor, setup) =>
      new TracerProvider({ ...setup, resource, spanProcessors: [processor] }).getTracer(scopeName),
    meters(readers) {
      const provider = new MeterProvider({ resource, readers: [...readers] });
      return { meter: provider.getMeter(scopeName), shutdown: () => provider.shutdown() };
    },
  };
}
