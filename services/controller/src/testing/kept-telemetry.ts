import { createSeededRandom, type ManualTime } from "@tidemark/runtime";
import { type KeptSpan, startTelemetry, type Telemetry } from "@tidemark/telemetry";

/** Telemetry of a controller whose spans are kept when they end, with its log lines, and which samples nothing of its own. */
export async function keepSpans(
  time: ManualTime,
): Promise<{ readonly spans: readonly KeptSpan[]; readonly lines: readonly string[]; readonly telemetry: Telemetry }> {
  const spans: KeptSpan[] = [];
  const lines: string[] = [];
  const telemetry = await startTelemetry({
    service: "tidemark-controller",
    instanceId: "controller-1",
    runtime: { ...time, random: createSeededRandom(1) },
    environment: { OTEL_TRACES_SAMPLER: "parentbased_always_off" },
    logLevel: "info",
    metricsListener: undefined,
    writeLog: (line) => lines.push(line),
    keep: { onSpan: (span) => spans.push(span), random: createSeededRandom(2) },
  });
  return { spans, lines, telemetry };
}
