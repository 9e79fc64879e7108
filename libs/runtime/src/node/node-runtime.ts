import { randomFillSync } from "node:crypto";
import type { Runtime } from "../runtime.ts";
import { createPooledRandom } from "./pooled-random.ts";

/** Asking OpenSSL costs microseconds, whatever is asked for: ids of spans need eight bytes each, thousands a second. */
const randomPoolBytes = 4096;

/** The real clock, timers and randomness of this process. */
export function createNodeRuntime(): Runtime {
  return {
    clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    random: createPooledRandom((bytes) => randomFillSync(bytes), randomPoolBytes),
    scheduler: {
      after: (delayMs, task) => {
        const timer = setTimeout(task, delayMs);
        return () => clearTimeout(timer);
      },
      afterInput: (task) => {
        const immediate = setImmediate(task);
        return () => clearImmediate(immediate);
      },
    },
  };
}
