import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { abortWith, type Cancel, createDeferred, type Runtime } from "@tidemark/runtime";
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
 * the error of `replacedLeader` instead. `over` is aborted then, and with the caller's `signal`.
 */
export async function untilReplaced<Answer>(
  { table, runtime: { scheduler }, signal }: CallingContext & { readonly signal: AbortSignal },
  asked: readonly Asked[],
  work: (over: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const over = new AbortController();
  const unbind = abortWith(over, signal);
  const gone = createDeferred<never>();
  let stopTimer: Cancel | undefined;
  const leave = (endpoint: string) => {
    gone.reject(replacedLeader(endpoint));
    over.abort();
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
  try {
    return await Promise.race([work(over.signal), gone.promise]);
  } finally {
    unbind();
    unwatch();
    stopTimer?.();
  }
}
