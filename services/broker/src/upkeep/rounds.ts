import type { Cancel, Scheduler } from "@tidemark/runtime";

/** Work that is done again and again. */
export interface Rounds {
  /** No further round begins, and the one under way is told to end. Resolves when it has. */
  stop(): Promise<void>;
}

/** Runs `round` every `intervalMs`, counted from the end of the one before: rounds never overlap. It must not reject. */
export function createRounds(
  scheduler: Scheduler,
  intervalMs: number,
  round: (goesOn: () => boolean) => Promise<void>,
): Rounds {
  let isStopped = false;
  let running: Promise<void> = Promise.resolve();
  let cancel: Cancel = () => undefined;
  const goesOn = () => !isStopped;
  const arm = () => {
    cancel = scheduler.after(intervalMs, () => {
      running = round(goesOn).then(() => {
        if (!isStopped) arm();
      });
    });
  };
  arm();
  return {
    stop() {
      isStopped = true;
      cancel();
      return running;
    },
  };
}
