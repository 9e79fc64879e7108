import type { Cancel, Scheduler } from "@tidemark/runtime";
import type { Partition } from "../partition/partition.ts";

/**
 * Resolves when the high watermark of one of the partitions moves, after `waitMs`, or when `signal` is aborted:
 * whichever is first.
 */
export function waitForData(
  partitions: readonly Partition[],
  waitMs: number,
  { scheduler, signal }: { readonly scheduler: Scheduler; readonly signal: AbortSignal },
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
    for (const partition of partitions) cancels.push(partition.onHighWatermark(finish));
  });
}
