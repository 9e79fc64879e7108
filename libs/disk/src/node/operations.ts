import { DiskError } from "../disk.ts";
import { toDiskError } from "./errors.ts";
import { createLimiter, type Limiter } from "./limiter.ts";
import type { Watchdog } from "./watchdog.ts";

type Callback<Value> = (error: Error | null, value: Value) => void;

/**
 * Starts the system calls of one disk. At most so many run at a time, each of which holds a thread of Node's pool: a
 * disk that hangs holds its own threads and leaves those of the other disks alone. A call that hangs is told as HUNG
 * and keeps its place until it really ends, since its thread does too.
 */
export interface Operations {
  run<Value>(kind: "sync" | "other", name: string, path: string, call: (done: Callback<Value>) => void): Promise<Value>;
}

export function createOperations(
  limits: { readonly syncs: number; readonly others: number },
  watchdog: Watchdog,
): Operations {
  const limiters: Record<"sync" | "other", Limiter> = {
    sync: createLimiter(limits.syncs),
    other: createLimiter(limits.others),
  };
  return {
    run(kind, name, path, call) {
      const limiter = limiters[kind];
      return new Promise((resolve, reject) => {
        const ended = watchdog.watch(() => reject(new DiskError("HUNG", name, path)));
        limiter.enter(() => {
          call((error, value) => {
            limiter.leave();
            ended();
            if (error === null) resolve(value);
            else reject(toDiskError(error, name, path));
          });
        });
      });
    },
  };
}
