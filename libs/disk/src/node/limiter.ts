/** Runs at most `limit` operations at a time; the others wait in the order of their coming. */
export interface Limiter {
  /** Takes a place at once and returns true, or calls `start` later, when a place is free. */
  enter(start: () => void): void;
  /** Gives the place back. Called once for each `start`. */
  leave(): void;
  readonly waiting: number;
}

export function createLimiter(limit: number): Limiter {
  if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`A limit is a positive whole number, not ${limit}`);
  const queue: (() => void)[] = [];
  let running = 0;
  return {
    enter(start) {
      if (running < limit) {
        running++;
        start();
      } else {
        queue.push(start);
      }
    },
    leave() {
      const next = queue.shift();
      if (next === undefined) running--;
      else next();
    },
    get waiting() {
      return queue.length;
    },
  };
}
