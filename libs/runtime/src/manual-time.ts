import type { Clock } from "./clock.ts";
import type { Cancel, Scheduler } from "./scheduler.ts";

/** Time that stands still until it is moved: the twin of the real clock and scheduler in tests. */
export interface ManualTime {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Moves time by `durationMs`; runs what falls due in the order of its time, and lets promises settle in between. */
  advance(durationMs: number): Promise<void>;
  /** How many tasks wait. */
  pending(): number;
}

interface Task {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** `wallStartMs`: what the wall clock shows at the start, in milliseconds since 1970. */
export function createManualTime(wallStartMs = 1_700_000_000_000): ManualTime {
  let now = 0;
  let order = 0;
  const tasks = new Set<Task>();

  const schedule = (at: number, run: () => void): Cancel => {
    const task = { at, order: order++, run };
    tasks.add(task);
    return () => {
      tasks.delete(task);
    };
  };

  const nextDue = (until: number): Task | undefined => {
    let first: Task | undefined;
    for (const task of tasks) {
      if (task.at > until) continue;
      if (first === undefined || task.at < first.at || (task.at === first.at && task.order < first.order)) first = task;
    }
    return first;
  };

  return {
    clock: { monotonicMs: () => now, wallMs: () => wallStartMs + Math.floor(now) },
    scheduler: {
      after: (delayMs, run) => schedule(now + Math.max(0, delayMs), run),
      afterInput: (run) => schedule(now, run),
    },
    pending: () => tasks.size,
    async advance(durationMs) {
      const until = now + durationMs;
      await settlePromises();
      for (let task = nextDue(until); task !== undefined; task = nextDue(until)) {
        tasks.delete(task);
        now = Math.max(now, task.at);
        task.run();
        await settlePromises();
      }
      now = until;
    },
  };
}

/** Long enough for chains of promises that only wait for each other. */
async function settlePromises(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
