import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, type SpanProcessor } from "@opentelemetry/sdk-trace";

/** Why spans that were recorded never arrived. */
export type LossReason = "queue_full" | "export_failed";

export interface SpanQueueLimits {
  /** Spans that wait for a batch. One more is dropped. */
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly scheduledDelayMillis: number;
  readonly exportTimeoutMillis: number;
}

/**
 * Sends spans in batches and holds no more of them than its limit, whatever the collector does: one that is down, slow
 * or full costs the spans and nothing else. Each span that is lost is reported.
 */
export function createSpanQueue(of: {
  readonly exporter: SpanExporter;
  readonly limits: SpanQueueLimits;
  readonly onLost: (reason: LossReason, spans: number, error: Error | undefined) => void;
}): SpanProcessor {
  const { exporter, limits, onLost } = of;
  let waiting = 0;
  const counting: SpanExporter = {
    export: (spans: ReadableSpan[], done: (result: ExportResult) => void) => {
      waiting -= spans.length;
      exporter.export(spans, (result) => {
        if (result.code !== ExportResultCode.SUCCESS) onLost("export_failed", spans.length, result.error);
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  const batches = new BatchSpanProcessor({ exporter: counting, ...limits });
  return {
    onStart: (span, context) => batches.onStart(span, context),
    onEnd: (span) => {
      // The processor would drop it as well, but tells nobody.
      if (waiting >= limits.maxQueueSize) return onLost("queue_full", 1, undefined);
      waiting += 1;
      batches.onEnd(span);
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  };
}
