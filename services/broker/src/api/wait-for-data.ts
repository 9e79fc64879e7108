import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import type { Partition, ReadRequest } from "../partition/partition.ts";

/** One read that waits. */
export interface WaitingRead {
  readonly partition: Partition;
  readonly request: Omit<ReadRequest, "deadlineMs">;
}

/**
 * Resolves when one of the reads has something to tell, data or an error, at `untilMs`, or when `signal` is aborted:
 * whichever is first. Then none of them waits any more. `untilMs`: monotonic milliseconds, the very number that the caller
 * holds the clock against, since a rest that is subtracted and added again may differ by a rounding.
 */
export function waitForData(
  reads: readonly WaitingRead[],
  untilMs: number,
  { clock, scheduler, signal }: { readonly clock: Clock; readonly scheduler: Scheduler; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const cancels: Cancel[] = [];
    const finish = () => {
      for (const cancel of cancels.splice(0)) cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const waitMs = untilMs - clock.monotonicMs();
    if (signal.aborted || waitMs <= 0) {
      resolve();
      return;
    }
    signal.addEventListener("abort", finish, { once: true });
    cancels.push(scheduler.after(waitMs, finish));
    for (const { partition, request } of reads) {
      const cancel = partition.read({ ...request, deadlineMs: untilMs }, finish);
      // Settled during the call: the others need not wait.
      if (cancels.length === 0) return;
      cancels.push(cancel);
    }
  });
}
