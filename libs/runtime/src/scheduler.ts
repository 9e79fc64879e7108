/** Undoes what was scheduled. A second call, or one after it ran, does nothing. */
export type Cancel = () => void;

export interface Scheduler {
  /** Runs `task` once, no sooner than `delayMs` from now. An error thrown by a task is fatal to the process. */
  after(delayMs: number, task: () => void): Cancel;
  /**
   * Runs `task` after the bytes that already arrived were read (past a poll phase). A stalled process runs due timers
   * before its input, so a verdict about a silent peer is taken in here and never in the timer itself.
   */
  afterInput(task: () => void): Cancel;
}

/** Resolves after `delayMs`; rejects with the signal's reason as soon as `signal` is aborted. */
export function delay(scheduler: Scheduler, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = () => {
      cancel();
      if (signal !== undefined) reject(abortReason(signal));
    };
    const cancel = scheduler.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("Aborted", { cause: reason });
}
