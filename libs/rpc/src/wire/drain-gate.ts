/** Where a writer waits while its stream is full. */
export interface DrainGate {
  /** Resolves at the next `open`. */
  wait(): Promise<void>;
  open(): void;
}

export function createDrainGate(): DrainGate {
  let waiters: (() => void)[] = [];
  return {
    wait: () =>
      new Promise((resolve) => {
        waiters.push(resolve);
      }),
    open() {
      const woken = waiters;
      waiters = [];
      for (const wake of woken) wake();
    },
  };
}
