import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { AggregationTemporality, type IMetricReader, InstrumentType, MetricReader } from "@opentelemetry/sdk-metrics";
import type { Exemplars } from "./exemplars.ts";
import { toOpenMetrics } from "./open-metrics.ts";

/** Prometheus' older text format, or OpenMetrics, which has exemplars. */
export type MetricsFormat = "text" | "openMetrics";

/** Reads the metrics when Prometheus asks for them. */
export interface PrometheusReader {
  readonly reader: IMetricReader;
  /** All metrics. */
  render(format: MetricsFormat): Promise<string>;
}

/**
 * A gauge shows what was reported at this very reading: the lag of a follower that left is gone, not frozen. (The
 * package's own exporter goes on showing the last value of every series for ever.) Counters and histograms only grow.
 */
class PullReader extends MetricReader {
  constructor() {
    super({
      aggregationTemporalitySelector: (instrument) =>
        instrument === InstrumentType.OBSERVABLE_GAUGE
          ? AggregationTemporality.DELTA
          : AggregationTemporality.CUMULATIVE,
    });
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

export function createPrometheusReader(exemplars: Exemplars): PrometheusReader {
  const reader = new PullReader();
  const withoutScopeInfo = true;
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, withoutScopeInfo);
  return {
    reader,
    async render(format) {
      const text = serializer.serialize((await reader.collect()).resourceMetrics);
      return format === "text" ? text : toOpenMetrics(text, exemplars);
    },
  };
}
