import type { Cancel, Runtime } from "@tidemark/runtime";

/** A process's runtime that can be stopped as SIGSTOP does: timers that fall due wait, and run first when it goes on. */
export interface PausableRuntime extends Runtime {
  pause(): void;
  resume(): void;
  /** Nothing runs any more. */
  kill(): void;
}

export function createPausableRuntime(runtime: Runtime): PausableRuntime {
  let mode: "running" | "paused" | "dead" = "running";
  let due: (() => void)[] = [];
  /** Runs the task now, when the process goes on, or never. */
  const wrap = (schedule: (task: () => void) => Cancel, task: () => void): Cancel => {
    let isCanceled = false;
    const run = () => {
      if (!isCanceled) task();
    };
    const cancel = schedule(() => {
      if (mode === "running") run();
      else if (mode === "paused") due.push(run);
    });
    return () => {
      isCanceled = true;
      cancel();
    };
  };
  return {
    clock: runtime.clock,
    random: runtime.random,
    scheduler: {
      after: (delayMs, task) => wrap((fire) => runtime.scheduler.after(delayMs, fire), task),
      afterInput: (task) => wrap((fire) => runtime.scheduler.afterInput(fire), task),
    },
    pause() {
      if (mode === "running") mode = "paused";
    },
    resume() {
      if (mode !== "paused") return;
      mode = "running";
      const tasks = due;
      due = [];
      for (const task of tasks) task();
    },
    kill() {
      mode = "dead";
      due = [];
    },
  };
}
