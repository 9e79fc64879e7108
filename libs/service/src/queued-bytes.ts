import { type ByteBudget, createProcessBudget } from "@tidemark/rpc";
import { metricNames, type Telemetry } from "@tidemark/telemetry";

/**
 * The budget of a service's process for what its callers make it hold: answers that wait to be sent, and requests that are
 * worked on. Told of as a metric. The limit is `queued.max.bytes`; undefined: a quarter of the heap.
 */
export function queuedBytesBudget(
  values: { readonly "queued.max.bytes"?: number | undefined },
  { metrics }: Pick<Telemetry, "metrics">,
): ByteBudget {
  const budget = createProcessBudget(values["queued.max.bytes"]);
  metrics.observeGauge(
    { name: metricNames.queuedBytes, description: "Bytes that wait to be sent, and requests that are worked on." },
    (report) => report(budget.used),
  );
  return budget;
}
