import type { Cancel, Scheduler } from "@tidemark/runtime";

/** How often the partitions of a broker are told the time, in milliseconds. */
const tickMs = 100;

/**
 * Calls `tick` again and again, each time after the input that had arrived was read: a tick may give a verdict about
 * silence. One timer for all partitions of a broker.
 */
export function startTicker(scheduler: Scheduler, tick: () => void): Cancel {
  let cancel: Cancel = () => undefined;
  const next = () => {
    cancel = scheduler.after(tickMs, () => {
      cancel = scheduler.afterInput(() => {
        tick();
        next();
      });
    });
  };
  next();
  return () => {
    cancel();
  };
}
