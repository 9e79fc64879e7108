import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
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

/** What every call to a leader needs. */
export interface CallingContext {
  readonly table: RouteTable;
  readonly runtime: Pick<Runtime, "scheduler">;
}

/** A partition, and the route by which it is asked for. */
export interface Asked {
  readonly partition: RoutedPartition;
  readonly route: Route;
}

/**
 * What `work` comes to. Once the metadata tell for `replacedGraceMs` that another broker leads one of the partitions, it is
 * the error of `replacedLeader` instead, and `onLeft` is called.
 */
export function untilReplaced<Answer>(
  { table, runtime: { scheduler } }: CallingContext,
  asked: readonly Asked[],
  work: () => Promise<Answer>,
  onLeft?: () => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const working = work();
    let stopTimer: Cancel | undefined;
    const leave = (endpoint: string) => {
      reject(replacedLeader(endpoint));
      onLeft?.();
    };
    const unwatch = table.onChange(() => {
      const replaced = asked.find(({ partition, route }) => isReplaced(table, partition, route));
      if (replaced === undefined || stopTimer !== undefined) return;
      unwatch();
      stopTimer = scheduler.after(replacedGraceMs, () => {
        // An answer that has come in meanwhile is taken first.
        stopTimer = scheduler.afterInput(() => leave(replaced.route.endpoint));
      });
    });
    const stop = () => {
      unwatch();
      stopTimer?.();
    };
    working.finally(stop).then(resolve, reject);
  });
}
