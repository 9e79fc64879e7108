import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Cancel, Scheduler } from "@tidemark/runtime";
import type { Route, RoutedPartition, RouteTable } from "./route-table.ts";

/**
 * How long an answer is still waited for once another broker leads, in milliseconds. A leader that lives learns of the
 * change too, and ends what waits there (R12): its own word is worth more than none.
 */
export const replacedGraceMs = 1000;

/** Whether the partition has a leader of a newer leader epoch, at another endpoint than `route`. */
export function isReplaced(table: RouteTable, partition: RoutedPartition, { endpoint, leaderEpoch }: Route): boolean {
  const now = table.route(partition);
  return now !== undefined && now.leaderEpoch > leaderEpoch && now.endpoint !== endpoint;
}

/**
 * What a request to `endpoint` fails with without an answer, `replacedGraceMs` after another broker took its place. A leader that is frozen or
 * cut off says nothing, and its connection looks whole until its keepalive ends.
 */
export function replacedLeader(endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: `The broker at ${endpoint} did not answer before another one took its place: whether it did what was asked is not known`,
    outcome: Outcome.UNKNOWN,
  });
}

/**
 * Calls `leave` once when `route` has been replaced for `replacedGraceMs`, as the metadata tell it. The cancel ends the
 * waiting for that; it is to be called when the answer is there.
 */
export function onReplaced(
  { table, scheduler }: { readonly table: RouteTable; readonly scheduler: Scheduler },
  { partition, route }: { readonly partition: RoutedPartition; readonly route: Route },
  leave: () => void,
): Cancel {
  let stopTimer: Cancel | undefined;
  const look = () => {
    if (stopTimer !== undefined || !isReplaced(table, partition, route)) return;
    unwatch();
    // An answer that has come in meanwhile is taken first.
    stopTimer = scheduler.after(replacedGraceMs, () => {
      stopTimer = scheduler.afterInput(leave);
    });
  };
  const unwatch = table.onChange(look);
  return () => {
    unwatch();
    stopTimer?.();
  };
}
