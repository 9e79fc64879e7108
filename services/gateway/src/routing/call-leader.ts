import { Outcome } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { leaderNotAvailable } from "../errors.ts";
import type { Pauses } from "./patience.ts";
import type { Route, RoutedPartition, RouteTable } from "./route-table.ts";

/** One try at one leader. */
export interface Attempt {
  readonly route: Route;
  /** Counts from 1. */
  readonly number: number;
}

export interface LeaderCall<Answer> {
  /** The partition, looked up anew for each try: a topic may be made again meanwhile. Throws where there is none. */
  readonly locate: () => RoutedPartition;
  /** True where doing it twice is the same as doing it once: then an unknown outcome is no obstacle. */
  readonly isRead: boolean;
  readonly attempt: (attempt: Attempt, partition: RoutedPartition) => Promise<Answer>;
}

/**
 * Calls the leader of a partition, and others after it, until it works, time is up, or the error is one that will not
 * pass. What a broker may have done is never tried again (P12): its error is the call's, outcome unknown and all.
 */
export async function callLeader<Answer>(
  table: RouteTable,
  pauses: Pauses,
  { locate, isRead, attempt }: LeaderCall<Answer>,
): Promise<Answer> {
  for (let number = 1; ; number++) {
    const partition = locate();
    const route = table.route(partition);
    try {
      if (route === undefined) throw leaderNotAvailable(partition);
      return await attempt({ route, number }, partition);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      table.learn(partition, error.fields.leader);
      if (!mayRepeat(error, isRead)) throw error;
      if (!(await pauses.next([{ partition, leaderEpoch: route?.leaderEpoch }], error))) throw error;
    }
  }
}

/** Whether a further try may succeed and does no harm. */
export function mayRepeat(error: TidemarkError, isRead: boolean): boolean {
  return error.retriable && (isRead || error.outcome === Outcome.NOT_APPLIED);
}
