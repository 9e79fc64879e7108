import type { Clock } from "@tidemark/runtime";
import type { Logger } from "./logger.ts";
import { metricNames } from "./metric-names.ts";
import type { Metrics } from "./metrics.ts";
import type { LossReason } from "./span-queue.ts";

/** A collector that stays away is worth a line this often, whatever it costs in spans. */
const complaintIntervalMs = 60_000;

/** Counts spans that never arrived, and says so now and then. */
export function createLostSpans(of: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics }) {
  const { clock, logger, metrics } = of;
  const lost: Record<LossReason, number> = { queue_full: 0, export_failed: 0 };
  let saidAtMs = Number.NEGATIVE_INFINITY;
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
      if (clock.monotonicMs() - saidAtMs < complaintIntervalMs) return;
      saidAtMs = clock.monotonicMs();
      logger.warn("Spans do not reach the collector; nothing else depends on it", {
        reason,
        queueFull: lost.queue_full,
        exportFailed: lost.export_failed,
        cause: error?.message,
      });
    },
  };
}
