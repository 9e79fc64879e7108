import { randomBytes } from "node:crypto";
import type { Runtime } from "../runtime.ts";

/** The real clock, timers and randomness of this process. */
export function createNodeRuntime(): Runtime {
  return {
    clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    random: { next: () => randomBytes(4).readUInt32BE() / 2 ** 32, bytes: (length) => randomBytes(length) },
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
