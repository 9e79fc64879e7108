import { ExportResultCode } from "@opentelemetry/core";
import { OTLPMetricExporter as GrpcMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as ProtobufMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as GrpcTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as ProtobufTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  AggregationTemporality,
  type IMetricReader,
  InstrumentType,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import type { Destination } from "./otel-environment.ts";

/**
 * What sends spans to their destination. Undefined where there is none. Headers, certificates and compression the
 * exporters read by themselves from the process's OTEL_EXPORTER_OTLP_* variables.
 */
export function createTraceExporter(destination: Destination): SpanExporter | undefined {
  switch (destination.kind) {
    case "none":
      return undefined;
    case "otlp": {
      const options = exporterOptions(destination);
      return destination.protocol === "grpc" ? new GrpcTraceExporter(options) : new ProtobufTraceExporter(options);
    }
  }
}

/** What sends metrics to their destination every so often, and tells of each time that failed. Undefined where there is none. */
export function createMetricPusher(
  destination: Destination,
  intervalMs: number,
  onFailed: (error: Error | undefined) => void,
): IMetricReader | undefined {
  switch (destination.kind) {
    case "none":
      return undefined;
    case "otlp": {
      const options = exporterOptions(destination);
      const exporter =
        destination.protocol === "grpc" ? new GrpcMetricExporter(options) : new ProtobufMetricExporter(options);
      const preferred = exporter.selectAggregationTemporality.bind(exporter);
      // A gauge has none; but of a cumulative one the library sends the last value of every series for ever.
      exporter.selectAggregationTemporality = (instrument) =>
        instrument === InstrumentType.OBSERVABLE_GAUGE ? AggregationTemporality.DELTA : preferred(instrument);
      const send = exporter.export.bind(exporter);
      // The reader knows as well, but tells nobody.
      exporter.export = (metrics, done) =>
        send(metrics, (result) => {
          if (result.code !== ExportResultCode.SUCCESS) onFailed(result.error);
          done(result);
        });
      return new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: intervalMs,
        exportTimeoutMillis: Math.min(destination.timeoutMs, intervalMs),
      });
    }
  }
}

function exporterOptions({ url, timeoutMs }: { readonly url: string | undefined; readonly timeoutMs: number }) {
  return { ...(url === undefined ? {} : { url }), timeoutMillis: timeoutMs };
}
