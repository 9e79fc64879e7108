import type { Clock } from "@tidemark/runtime";
import type { Logger } from "./logger.ts";
import { metricNames } from "./metric-names.ts";
import type { Metrics } from "./metrics.ts";
import { createSeldom } from "./seldom.ts";
import type { LossReason } from "./span-queue.ts";

/** Counts spans that never arrived, and says so now and then. */
export function createLostSpans(of: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics }) {
  const { clock, logger, metrics } = of;
  const lost: Record<LossReason, number> = { queue_full: 0, export_failed: 0 };
  const seldom = createSeldom(clock);
  metrics.observeCounter(
    { name: metricNames.lostSpans, description: "Spans that were recorded and never arrived." },
    (report) => {
      for (const [reason, spans] of Object.entries(lost)) report(spans, { reason });
    },
  );
  return {
    /** Total since the start. */
    lost: (reason: LossReason) => lost[reason],
    onLost: (reason: LossReason, spans: number, error: Error | undefined) => {
      lost[reason] += spans;
      seldom(() =>
        logger.warn("Spans do not reach the collector; nothing else depends on it", {
          reason,
          queueFull: lost.queue_full,
          exportFailed: lost.export_failed,
          cause: error?.message,
        }),
      );
    },
  };
}
