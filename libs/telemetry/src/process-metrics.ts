import process from "node:process";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { metricNames } from "./metric-names.ts";
import type { Metrics } from "./metrics.ts";

/** How often the lag of the event loop is sampled. */
const lagIntervalMs = 100;

/** What every Node process tells of itself, under the names that dashboards know. Returns what ends it. */
export function observeProcess(metrics: Metrics, clock: Clock): () => void {
  const startedSeconds = clock.wallMs() / 1000 - process.uptime();
  const observers = [
    metrics.observeCounter(
      { name: metricNames.processCpu, description: "User and system CPU time of the process." },
      (report) => {
        const { user, system } = process.cpuUsage();
        report((user + system) / 1e6);
      },
    ),
    metrics.observeGauge(
      { name: metricNames.processResidentMemory, description: "Resident memory of the process." },
      (report) => report(process.memoryUsage.rss()),
    ),
    metrics.observeGauge(
      { name: metricNames.processStartTime, description: "When the process started, since 1970." },
      (report) => report(startedSeconds),
    ),
    metrics.observeGauge({ name: metricNames.heapUsed, description: "Heap of JavaScript that is in use." }, (report) =>
      report(process.memoryUsage().heapUsed),
    ),
    metrics.observeGauge(
      { name: metricNames.heapTotal, description: "Heap of JavaScript that is reserved." },
      (report) => report(process.memoryUsage().heapTotal),
    ),
  ];
  return () => {
    for (const stop of observers) stop();
  };
}

/** Measures how much later than planned timers run. `lastMs`: of the last one; undefined before any ran. */
export function observeEventLoopLag(
  metrics: Metrics,
  of: { readonly clock: Clock; readonly scheduler: Scheduler },
): { stop(): void; lastMs(): number | undefined } {
  const lag = metrics.histogram({
    name: metricNames.eventLoopLag,
    description: "How much later than planned a timer ran: the event loop was busy that long.",
  });
  let cancel = () => {};
  let lastMs: number | undefined;
  const next = () => {
    const dueMs = of.clock.monotonicMs() + lagIntervalMs;
    cancel = of.scheduler.after(lagIntervalMs, () => {
      lastMs = Math.max(0, of.clock.monotonicMs() - dueMs);
      lag.record(lastMs / 1000);
      next();
    });
  };
  next();
  return { stop: () => cancel(), lastMs: () => lastMs };
}
