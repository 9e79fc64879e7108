import type { Clock } from "@tidemark/runtime";
import type { Logger } from "./logger.ts";
import { metricNames } from "./metric-names.ts";
import type { Metrics } from "./metrics.ts";
import { createSeldom } from "./seldom.ts";

/** Counts pushes of metrics that failed, and says so now and then. Returns what to call with each. */
export function createFailedPushes(of: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): (error: Error | undefined) => void {
  const { clock, logger, metrics } = of;
  const seldom = createSeldom(clock);
  let failed = 0;
  metrics.observeCounter(
    { name: metricNames.failedMetricPushes, description: "Pushes of metrics by OTLP that the collector did not take." },
    (report) => report(failed),
  );
  return (error) => {
    failed += 1;
    seldom(() =>
      logger.warn("Metrics do not reach the collector; nothing else depends on it", { failed, cause: error?.message }),
    );
  };
}
