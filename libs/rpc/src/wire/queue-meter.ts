import type { ByteBudget } from "./byte-budget.ts";

/** Counts the bytes that one side of a call has queued, against the budgets and the high water. */
export interface QueueMeter {
  readonly queued: number;
  /** True when the writer should wait for the next drain. */
  readonly full: boolean;
  /** Counts bytes that were queued. Returns the budget that they would exceed, and then counts nothing. */
  take(bytes: number): ByteBudget | undefined;
  /** Counts bytes as sent. */
  give(bytes: number): void;
  /** Gives everything back, whatever is still on its way: the call is over. Later calls count nothing. */
  close(): void;
}

/** `onDrain` is called when the queue falls to half of `highWater` after it was full. `highWater` in bytes. */
export function createQueueMeter(options: {
  readonly budget: ByteBudget;
  readonly highWater: number;
  readonly onDrain: () => void;
}): QueueMeter {
  const { budget, highWater, onDrain } = options;
  let queued = 0;
  let full = false;
  let closed = false;
  return {
    get queued() {
      return queued;
    },
    get full() {
      return full;
    },
    take(bytes) {
      if (closed) return undefined;
      const exceeded = budget.take(bytes);
      if (exceeded !== undefined) return exceeded;
      queued += bytes;
      if (queued >= highWater) full = true;
      return undefined;
    },
    give(bytes) {
      if (closed) return;
      queued -= bytes;
      budget.give(bytes);
      if (!full || queued > highWater / 2) return;
      full = false;
      onDrain();
    },
    close() {
      if (closed) return;
      closed = true;
      budget.give(queued);
      queued = 0;
      full = false;
    },
  };
}
