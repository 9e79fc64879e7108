import { requestsExceeded } from "../errors/limit-errors.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import { UNANSWERED_MESSAGE_BYTES } from "../wire/budgets.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { RawStream } from "../wire/raw-stream.ts";

/**
 * The messages of one stream that its handler took and has not answered. Beyond so many bytes the stream is not read until
 * half of them are answered. All streams share a budget: what goes beyond it is refused.
 */
export interface UnansweredMessages {
  /** A message came, of so many bytes. Returns why it cannot be taken, and then counts nothing. */
  take(bytes: number): TidemarkError | undefined;
  /** One that was taken is answered. */
  give(bytes: number): void;
  /** Nobody holds any of them any more, answered or not. Later calls do nothing. */
  close(): void;
}

export function createUnansweredMessages(of: {
  readonly stream: Pick<RawStream<never>, "pause" | "resume">;
  /** Bytes beyond which the stream is not read. */
  readonly bytesMax: number;
  readonly budget: ByteBudget;
}): UnansweredMessages {
  const { stream, bytesMax, budget } = of;
  let held = 0;
  let isPaused = false;
  let isClosed = false;
  return {
    take(bytes) {
      const cost = bytes + UNANSWERED_MESSAGE_BYTES;
      const exceeded = budget.take(cost);
      if (exceeded !== undefined) return requestsExceeded(exceeded);
      held += cost;
      if (!isPaused && held > bytesMax) {
        isPaused = true;
        stream.pause();
      }
      return undefined;
    },
    give(bytes) {
      if (isClosed) return;
      const cost = bytes + UNANSWERED_MESSAGE_BYTES;
      budget.give(cost);
      held -= cost;
      if (!isPaused || held >= bytesMax / 2) return;
      isPaused = false;
      stream.resume();
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      budget.give(held);
      held = 0;
    },
  };
}
