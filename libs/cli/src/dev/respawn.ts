import type { Clock, Scheduler } from "@tidemark/runtime";
import { processName } from "./layout.ts";
import type { Supervisor } from "./supervisor.ts";

/** A process that lived for so long is sound: when it dies, that counts as the first time. In milliseconds. */
const soundAfterMs = 10_000;
const pauseMs = { first: 200, max: 5000 } as const;

/**
 * Starts processes again that died: the first time at once, and one that dies again and again, or does not start, after
 * pauses that double up to five seconds. One that somebody stopped or started meanwhile is left alone.
 */
export interface Respawn {
  /** A process that was ready has died. Returns what comes next, in words. */
  died(name: string): string;
}

interface History {
  /** Deaths and failed starts in a row. */
  failures: number;
  /** When it was last started again, on the monotonic clock. */
  readySinceMs: number;
}

/** `say`: tells what became of a start, in one line. */
export function createRespawn(options: {
  readonly supervisor: Pick<Supervisor, "start" | "entries">;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly say: (line: string) => void;
}): Respawn {
  const { supervisor, clock, scheduler, say } = options;
  const histories = new Map<string, History>();

  const hasFailed = (name: string) =>
    supervisor.entries().some((entry) => processName(entry) === name && entry.state === "failed");

  const startAgain = async (name: string, history: History): Promise<void> => {
    if (!hasFailed(name)) return;
    const { ok, message } = await supervisor.start(name);
    if (ok) history.readySinceMs = clock.monotonicMs();
    if (ok || !hasFailed(name)) say(message);
    else say(`${message}; ${schedule(name, history)}`);
  };

  const schedule = (name: string, history: History): string => {
    const waitMs = history.failures === 0 ? 0 : Math.min(pauseMs.max, pauseMs.first * 2 ** (history.failures - 1));
    history.failures += 1;
    scheduler.after(waitMs, () => {
      startAgain(name, history).catch(reportDefect);
    });
    return waitMs === 0 ? "starting it again" : `starting it again in ${waitMs} ms`;
  };

  return {
    died(name) {
      const before = histories.get(name);
      const isSound = before === undefined || clock.monotonicMs() - before.readySinceMs >= soundAfterMs;
      const history = isSound ? { failures: 0, readySinceMs: 0 } : before;
      histories.set(name, history);
      return schedule(name, history);
    },
  };
}

/** An error that nobody can answer for ends the process. */
function reportDefect(error: unknown): void {
  throw error instanceof Error ? error : new Error(String(error));
}
