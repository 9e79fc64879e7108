import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import type { TrackedSession } from "./tracked-session.ts";

/** Looks again and again for sessions that were silent for the session timeout. */
export interface SilenceWatch {
  begin(): void;
  end(): void;
}

export interface SilenceWatchOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly sessionTimeoutMs: number;
  readonly sessions: () => Iterable<TrackedSession>;
  readonly onSilent: (each: TrackedSession) => void;
  /** After each look. */
  readonly onLooked: () => void;
  readonly onStalled: (durationMs: number) => void;
}

/** How often it looks within one session timeout: a session ends late by less than a 24th of it. */
const looksPerTimeout = 24;

/**
 * A stalled process runs its timers before its input, so that everyone seems silent: the verdict is taken after the
 * input was read, and after a stall of a quarter of the timeout every observation begins anew.
 */
export function createSilenceWatch(options: SilenceWatchOptions): SilenceWatch {
  const { clock, scheduler, sessionTimeoutMs } = options;
  const pauseMs = Math.max(1, sessionTimeoutMs / looksPerTimeout);
  const stallMs = sessionTimeoutMs / 4;
  let cancel: Cancel = () => undefined;

  const look = (expectedMs: number) => {
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - expectedMs;
    if (lateMs > stallMs) {
      options.onStalled(lateMs);
      for (const each of options.sessions()) each.lastHeardMs = nowMs;
    }
    for (const each of options.sessions()) {
      if (nowMs - each.lastHeardMs >= sessionTimeoutMs) options.onSilent(each);
    }
    options.onLooked();
    schedule();
  };
  const schedule = () => {
    const expectedMs = clock.monotonicMs() + pauseMs;
    cancel = scheduler.after(pauseMs, () => {
      cancel = scheduler.afterInput(() => look(expectedMs));
    });
  };
  return {
    begin() {
      cancel();
      schedule();
    },
    end: () => cancel(),
  };
}
