import { createEventQueue } from "./event-queue.ts";
import { createTraceHash, type TraceHash } from "./trace-hash.ts";

/** Time, and what happens in it. Time passes only from one event to the next. */
export interface Engine {
  /** Milliseconds since the start of the run. */
  readonly nowMs: number;
  /** Runs `task` in `delayMs` from now. Returns what takes it back. */
  after(delayMs: number, task: () => void): () => void;
  /** Runs the next event. False when there is none up to `untilMs`; time then stands at `untilMs`. */
  step(untilMs: number): boolean;
  readonly hash: TraceHash;
  /** Events that were run. */
  readonly events: number;
}

/** A power of two, so that sums and differences of times are exact and a deadline is not passed by a rounding. */
const ticksPerMs = 1024;

export function createEngine(): Engine {
  const queue = createEventQueue();
  const hash = createTraceHash();
  let nowMs = 0;
  let events = 0;
  return {
    get nowMs() {
      return nowMs;
    },
    get events() {
      return events;
    },
    hash,
    after: (delayMs, task) => queue.add(nowMs + Math.ceil(Math.max(0, delayMs) * ticksPerMs) / ticksPerMs, task),
    step(untilMs) {
      if (queue.nextAtMs > untilMs) {
        nowMs = Math.max(nowMs, untilMs);
        return false;
      }
      const event = queue.take();
      if (event === undefined) return false;
      nowMs = event.atMs;
      events += 1;
      hash.add(Math.floor(nowMs * 1000));
      event.run();
      return true;
    },
  };
}
