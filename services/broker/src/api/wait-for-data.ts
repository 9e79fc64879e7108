import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import type { Partition, ReadRequest } from "../partition/partition.ts";

/** One read that waits. */
export interface WaitingRead {
  readonly partition: Partition;
  readonly request: Omit<ReadRequest, "deadlineMs">;
}

/**
 * Resolves when one of the reads has something to tell, data or an error, after `waitMs`, or when `signal` is aborted:
 * whichever is first. Then none of them waits any more.
 */
export function waitForData(
  reads: readonly WaitingRead[],
  waitMs: number,
  { clock, scheduler, signal }: { readonly clock: Clock; readonly scheduler: Scheduler; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const cancels: Cancel[] = [];
    const finish = () => {
      for (const cancel of cancels.splice(0)) cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    if (signal.aborted || waitMs <= 0) {
      resolve();
      return;
    }
    signal.addEventListener("abort", finish, { once: true });
    cancels.push(scheduler.after(waitMs, finish));
    const deadlineMs = clock.monotonicMs() + waitMs;
    for (const { partition, request } of reads) {
      const cancel = partition.read({ ...request, deadlineMs }, finish);
      // Settled during the call: the others need not wait.
      if (cancels.length === 0) return;
      cancels.push(cancel);
    }
  });
}
