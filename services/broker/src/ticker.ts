import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";

/** How often the partitions of a broker are told the time, in milliseconds. */
const tickMs = 100;
/** Wakes fall together that are less than this apart, in milliseconds. */
const wakeStepMs = 10;

export interface Ticker {
  /** Ticks then too, on the monotonic clock, or up to 10 ms later. A time that has passed: soon. */
  wakeAt(atMs: number): void;
  stop(): void;
}

/**
 * Calls `tick` again and again, each time after the input that had arrived was read: a tick may give a verdict about
 * silence. One timer for all partitions of a broker, and one for what cannot wait for it.
 */
export function startTicker(world: { readonly clock: Clock; readonly scheduler: Scheduler }, tick: () => void): Ticker {
  const { clock, scheduler } = world;
  let cancel: Cancel = () => undefined;
  let wake: { readonly atMs: number; cancel: Cancel } | undefined;

  const next = () => {
    cancel = scheduler.after(tickMs, () => {
      cancel = scheduler.afterInput(() => {
        tick();
        next();
      });
    });
  };
  const endWake = () => {
    wake?.cancel();
    wake = undefined;
  };
  next();
  return {
    wakeAt(wantedMs) {
      const atMs = Math.ceil(wantedMs / wakeStepMs) * wakeStepMs;
      if (wake !== undefined && wake.atMs <= atMs) return;
      endWake();
      const made = {
        atMs,
        cancel: scheduler.after(Math.max(0, atMs - clock.monotonicMs()), () => {
          made.cancel = scheduler.afterInput(() => {
            wake = undefined;
            tick();
          });
        }),
      };
      wake = made;
    },
    stop() {
      cancel();
      endWake();
    },
  };
}
