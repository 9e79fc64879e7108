/**
 * Stands in for the suite's telemetry where its cost is measured: the very same process goes without it or with all of it,
 * as the bench says.
 */
import {
  createDisabledTracer,
  type Metrics,
  type Telemetry,
  type TelemetryOptions,
  type Tracer,
} from "@tidemark/telemetry";
import { createProfiler } from "./profiler.ts";
import { followSwitch, type TelemetryMode } from "./telemetry-switch.ts";

/** By its address, since the package's own name leads here. */
const suites = new URL("./telemetry.ts", import.meta.resolve("@tidemark/telemetry")).href;

export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { startTelemetry: start } = (await import(suites)) as { readonly startTelemetry: typeof startTelemetry };
  const telemetry = await start(options);
  const disabled = createDisabledTracer(options.runtime.random);
  let mode: TelemetryMode = "all";
  await followSwitch({
    onTurn: (next) => {
      mode = next;
    },
    profiler: createProfiler(),
  });
  return {
    ...telemetry,
    tracer: eitherTracer(() => (mode === "all" ? telemetry.tracer : disabled)),
    metrics: silenced(telemetry.metrics, () => mode === "nothing"),
  };
}

function eitherTracer(tracer: () => Tracer): Tracer {
  return {
    get enabled() {
      return tracer().enabled;
    },
    samples: (parent) => tracer().samples(parent),
    samplesError: () => tracer().samplesError(),
    start: (start) => tracer().start(start),
    record: (span) => tracer().record(span),
    unsampled: () => tracer().unsampled(),
  };
}

/** What is observed costs only who reads it, and nobody does here. */
function silenced(metrics: Metrics, isSilent: () => boolean): Metrics {
  return {
    ...metrics,
    counter(info) {
      const counter = metrics.counter(info);
      return {
        add(amount, labels) {
          if (!isSilent()) counter.add(amount, labels);
        },
      };
    },
    histogram(info) {
      const histogram = metrics.histogram(info);
      return {
        record(value, labels, trace) {
          if (!isSilent()) histogram.record(value, labels, trace);
        },
      };
    },
  };
}
