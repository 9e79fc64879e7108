/** Where a writer waits while its stream is full. */
export interface DrainGate {
  /** Resolves at the next `open`, at once after `remove`. */
  readonly pass: () => Promise<void>;
  readonly open: () => void;
  /** Opens for good: the call is over. */
  readonly remove: () => void;
  readonly removed: () => boolean;
}

export function createDrainGate(): DrainGate {
  let waiters: (() => void)[] = [];
  let isRemoved = false;
  const open = () => {
    const woken = waiters;
    waiters = [];
    for (const wake of woken) wake();
  };
  return {
    pass: () =>
      isRemoved
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiters.push(resolve);
          }),
    open,
    remove: () => {
      isRemoved = true;
      open();
    },
    removed: () => isRemoved,
  };
}
