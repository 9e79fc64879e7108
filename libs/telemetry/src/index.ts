export type { AttributeInput, SpanAttributes } from "./attributes.ts";
export { type KeptSpan, otlpJson } from "./kept-spans.ts";
export type { LogFields, LogValue } from "./log-fields.ts";
export { createLogger, type Logger, type LoggerOptions, type LogLevel, logLevels } from "./logger.ts";
export { metricNames } from "./metric-names.ts";
export type { CounterName, HistogramName, Labels, MetricInfo, Metrics, Report } from "./metrics.ts";
export {
  type AttributeName,
  attributeNames,
  messagingSystem,
  type ServiceName,
  type SpanName,
  spanNames,
} from "./names.ts";
export type { OtelEnvironment } from "./otel-environment.ts";
export { MetricsListenerError } from "./prometheus-endpoint.ts";
export { decodeTraceHeader, encodeTraceHeader, type TraceRecordHeader } from "./record-header.ts";
export type { SamplingPolicy } from "./sampling.ts";
export { startTelemetry, type Telemetry, type TelemetryOptions } from "./telemetry.ts";
export {
  extractTraceContext,
  formatTraceparent,
  injectTraceContext,
  parseTraceparent,
  type TraceContext,
  type TraceHeaders,
  traceIdTrailer,
  traceparentKey,
  tracestateKey,
} from "./trace-context.ts";
export {
  createDisabledTracer,
  createTracer,
  maxLinks,
  type Span,
  type SpanEnd,
  type SpanStart,
  type Tracer,
  type TracerOptions,
} from "./tracer.ts";
