import { createDeferred, type Deferred } from "@tidemark/runtime";
import type { LogState } from "./log-state.ts";

/** Files are being put in the place of others: nobody may rely upon positions in them. */
export interface Replacing {
  /** How many do so at present. */
  count: number;
  readonly over: Deferred<void>;
}

/** Runs what puts files in the place of others, while reads of the disk wait. */
export async function whileReplacing<Value>(log: LogState, work: () => Promise<Value>): Promise<Value> {
  log.replacing ??= { count: 0, over: createDeferred() };
  const { replacing } = log;
  replacing.count++;
  try {
    return await work();
  } finally {
    log.generation++;
    replacing.count--;
    if (replacing.count === 0) {
      log.replacing = undefined;
      replacing.over.resolve();
    }
  }
}
