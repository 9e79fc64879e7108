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
  /** Nothing more is written: what is queued counts until it is sent, and `onDrain` is not called any more. */
  end(): void;
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
  let closed = false;
  let ended = false;
  // Plain fields: see byte-budget.ts.
  const meter: QueueMeter & { queued: number; full: boolean } = {
    queued: 0,
    full: false,
    take(bytes) {
      if (closed) return undefined;
      const cost = bytes + MESSAGE_OVERHEAD_BYTES;
      const exceeded = budget.take(cost);
      if (exceeded !== undefined) return exceeded;
      meter.queued += cost;
      if (meter.queued >= highWater) meter.full = true;
      return undefined;
    },
    give(bytes) {
      if (closed) return;
      const cost = bytes + MESSAGE_OVERHEAD_BYTES;
      meter.queued -= cost;
      budget.give(cost);
      if (ended || !meter.full || meter.queued > highWater / 2) return;
      meter.full = false;
      onDrain();
    },
    end() {
      ended = true;
    },
    close() {
      if (closed) return;
      closed = true;
      budget.give(meter.queued);
      meter.queued = 0;
      meter.full = false;
    },
  };
  return meter;
}
