import { MESSAGE_OVERHEAD_BYTES } from "./budgets.ts";
import type { ByteBudget } from "./byte-budget.ts";

/**
 * Counts the bytes that one side of a call has queued, against the budgets and the high water. Each message counts with
 * its bytes and MESSAGE_OVERHEAD_BYTES.
 */
export interface QueueMeter {
  readonly queued: number;
  /** True when the writer should wait for the next drain. */
  readonly full: boolean;
  /** Counts a message that is queued. Returns the budget that it would exceed, and then counts nothing. */
  take(bytes: number): ByteBudget | undefined;
  /** Counts a message as sent. */
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
      const cost = bytes + MESSAGE_OVERHEAD_BYTES;
      const exceeded = budget.take(cost);
      if (exceeded !== undefined) return exceeded;
      queued += cost;
      if (queued >= highWater) full = true;
      return undefined;
    },
    give(bytes) {
      if (closed) return;
      const cost = bytes + MESSAGE_OVERHEAD_BYTES;
      queued -= cost;
      budget.give(cost);
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
