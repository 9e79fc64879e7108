import type { Runtime } from "@tidemark/runtime";
import type { NodeEventSink } from "./events.ts";
import type { Durations } from "./timing.ts";

/**
 * Ticks while it runs. A tick is taken after received bytes were read, so that nobody who has spoken is judged silent. A
 * process that stood still does not make up for its ticks: its observations of others begin anew.
 *
 * Returns what stops it.
 */
export function startTicker(options: {
  readonly runtime: Runtime;
  readonly durations: Durations;
  readonly onEvent: NodeEventSink;
  readonly onTick: () => void;
}): () => void {
  const { runtime, durations, onEvent, onTick } = options;
  const { clock, scheduler } = runtime;
  let lastMs = clock.monotonicMs();
  let cancel = () => {};
  const schedule = () => {
    cancel = scheduler.after(durations.tickMs, () => {
      cancel = scheduler.afterInput(tick);
    });
  };
  const tick = () => {
    const now = clock.monotonicMs();
    const stoodStillMs = now - lastMs - durations.tickMs;
    lastMs = now;
    if (stoodStillMs > durations.stallMs) onEvent({ kind: "stalled", ms: stoodStillMs });
    schedule();
    onTick();
  };
  schedule();
  return () => cancel();
}
