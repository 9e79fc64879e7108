import type { Meter, ObservableResult } from "@opentelemetry/api";
import type { Exemplars } from "./exemplars.ts";
import type { TraceContext } from "./trace-context.ts";

/** Labels of one series. Few values each: a metric with too many series folds the rest into one. */
export type Labels = Readonly<Record<string, string | number>>;

/** Says what a metric is now, once for each series. */
export type Report = (value: number, labels?: Labels) => void;

export type CounterName = `${string}_total`;
export type HistogramName = `tidemark_${string}_${"seconds" | "bytes" | "records"}`;

/** The names and the unit of a metric. Counters end in `_total`, histograms in their unit. */
export interface MetricInfo<Name extends string> {
  readonly name: Name;
  /** A sentence for whoever reads the endpoint. */
  readonly description: string;
}

export interface Metrics {
  /** Counts upwards. `add` takes 0 or more. */
  counter(info: MetricInfo<CounterName>): { add(amount: number, labels?: Labels): void };
  /**
   * Spreads values over buckets. `boundaries`: upper ends in rising order, those of the unit if not given. `trace`: in
   * which the value was measured; the last recorded one of each bucket is told with it.
   */
  histogram(info: MetricInfo<HistogramName> & { readonly boundaries?: readonly number[] }): {
    record(value: number, labels?: Labels, trace?: TraceContext): void;
  };
  /**
   * Asks for the value when somebody reads the metrics, and at no other time. Returns what ends it. The two `observe`
   * forms are for hot paths: the path counts in a plain number, and only a reader pays for the rest.
   */
  observeGauge(info: MetricInfo<string>, read: (report: Report) => void): () => void;
  /** The same for what only grows, as a total since the start. */
  observeCounter(info: MetricInfo<CounterName>, read: (report: Report) => void): () => void;
}

const secondsBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const sizeBoundaries = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** `exemplars`: takes the traces of what histograms measure. Undefined: nobody reads them. */
export function createMetrics(meter: Meter, exemplars?: Exemplars): Metrics {
  return {
    counter: ({ name, description }) => {
      const counter = meter.createCounter(name, { description });
      return { add: (amount, labels) => counter.add(amount, labels) };
    },
    histogram: ({ name, description, boundaries }) => {
      const usual = name.endsWith("_seconds") ? secondsBoundaries : sizeBoundaries;
      const ends = [...(boundaries ?? usual)];
      const histogram = meter.createHistogram(name, { description, advice: { explicitBucketBoundaries: ends } });
      return {
        record(value, labels, trace) {
          histogram.record(value, labels);
          if (trace === undefined) return;
          exemplars?.note({ histogram: name, labels: labels ?? {}, boundaries: ends, value, trace });
        },
      };
    },
    observeGauge: ({ name, description }, read) => {
      const gauge = meter.createObservableGauge(name, { description });
      const callback = readInto(read);
      gauge.addCallback(callback);
      return () => gauge.removeCallback(callback);
    },
    observeCounter: ({ name, description }, read) => {
      const counter = meter.createObservableCounter(name, { description });
      const callback = readInto(read);
      counter.addCallback(callback);
      return () => counter.removeCallback(callback);
    },
  };
}

function readInto(read: (report: Report) => void): (result: ObservableResult) => void {
  return (result) => read((value, labels) => result.observe(value, labels));
}
