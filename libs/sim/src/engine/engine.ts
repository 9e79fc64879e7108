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
  /**
   * Nothing happens any more. Whoever is left of a run, as a producer that nobody closed is for the report at the end of
   * the process, holds its clock, and by what is planned there the whole of the run.
   */
  end(): void;
  readonly hash: TraceHash;
  /** Events that were run. */
  readonly events: number;
}

/** A power of two, so that sums and differences of times are exact and a deadline is not passed by a rounding. */
const ticksPerMs = 1024;

export function createEngine(): Engine {
  const queue = createEventQueue();
  const hash = createTraceHash();
  // Plain fields, which everything in a run reads: a getter would be many times slower.
  const engine: Engine & { nowMs: number; events: number } = {
    nowMs: 0,
    events: 0,
    hash,
    after: (delayMs, task) => queue.add(engine.nowMs + Math.ceil(Math.max(0, delayMs) * ticksPerMs) / ticksPerMs, task),
    end() {
      queue.clear();
    },
    step(untilMs) {
      if (queue.nextAtMs() > untilMs) {
        engine.nowMs = Math.max(engine.nowMs, untilMs);
        return false;
      }
      const event = queue.take();
      if (event === undefined) return false;
      engine.nowMs = event.atMs;
      engine.events += 1;
      hash.add(Math.floor(event.atMs * 1000));
      event.run();
      return true;
    },
  };
  return engine;
}
