/** Wakes everyone who waits. Whoever wakes looks again whether what it waits for holds. */
export interface Signal {
  /** Resolves at the next `notify`, or as soon as `abort` is aborted. */
  next(abort?: AbortSignal): Promise<void>;
  notify(): void;
}

export function createSignal(): Signal {
  let waiting = new Set<() => void>();
  return {
    next: (abort) =>
      new Promise((resolve) => {
        if (abort?.aborted) {
          resolve();
          return;
        }
        const wake = () => {
          waiting.delete(wake);
          abort?.removeEventListener("abort", wake);
          resolve();
        };
        waiting.add(wake);
        abort?.addEventListener("abort", wake, { once: true });
      }),
    notify() {
      const woken = waiting;
      waiting = new Set();
      for (const wake of woken) wake();
    },
  };
}
