import type { DiskError } from "@tidemark/disk";
import { delay } from "@tidemark/runtime";
import { LogError } from "./errors.ts";
import type { LogState } from "./log-state.ts";
import { isSpaceError } from "./space.ts";

/** What was not done for want of room, or of a file handle, is tried again after so many milliseconds. */
const againMs = 1000;

/**
 * For want of a handle nothing was done; for want of room, nothing that is not put right when it is done again. Of a sync
 * that failed, whatever the cause, nobody knows what it left on the disk (L6).
 */
function canBeTriedAgain(error: unknown): error is DiskError {
  if (!isSpaceError(error)) return false;
  return error.code === "NO_HANDLES" || error.operation === "write" || error.operation === "create";
}

/**
 * Does what cannot be refused any more, again and again until there is room for it. `work` may be done in part before it
 * is done again. Throws NO_SPACE once the log is being closed.
 */
export async function untilThereIsRoom<Value>(log: LogState, work: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!canBeTriedAgain(error)) throw error;
      if (log.writer.isClosing) {
        throw new LogError("NO_SPACE", `${log.directory} was closed before there was room`, { cause: error });
      }
    }
    await delay(log.context.runtime.scheduler, againMs);
    const failure = log.context.failure();
    if (failure !== undefined) throw failure;
  }
}
