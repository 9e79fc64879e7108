import { Outcome } from "@tidemark/proto/common/v1";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import { abortWith } from "@tidemark/runtime";
import type { Pauses } from "./patience.ts";
import { type CallingContext, untilReplaced } from "./replaced-leaders.ts";
import type { Route, RoutedPartition } from "./route-table.ts";

/** One try at one leader. */
export interface Attempt {
  readonly route: Route;
  /** Counts from 1. */
  readonly number: number;
}

export interface LeaderCall<Answer> {
  /** The partition, looked up anew for each try: a topic may be made again meanwhile. Throws where there is none. */
  readonly locate: () => RoutedPartition;
  /**
   * Where doing it twice is the same as doing it once, an unknown outcome is no obstacle: a read changes nothing, and
   * what a producer with an id sends is stored once (R11).
   */
  readonly effect: "read" | "once" | "eachTime";
  /** The caller's. */
  readonly signal: AbortSignal;
  /** `over`: aborted with the caller's signal, and when another broker leads and this one is not waited for any more. */
  readonly attempt: (attempt: Attempt, partition: RoutedPartition, over: AbortSignal) => Promise<Answer>;
}

/**
 * Calls the leader of a partition, and others after it, until it works, time is up, or the error is one that will not
 * pass. What a broker may have done each time is never tried again: its error is the call's, outcome unknown and all. What
 * is tried again after an unknown outcome ends as unknown, unless a later try tells more (P12). A leader that does not
 * answer is left a moment after another one took its place.
 */
export async function callLeader<Answer>(
  context: CallingContext,
  pauses: Pauses,
  { locate, effect, signal, attempt }: LeaderCall<Answer>,
): Promise<Answer> {
  const { table } = context;
  let wasUnknown = false;
  for (let number = 1; ; number++) {
    const partition = locate();
    const route = table.route(partition);
    try {
      if (route === undefined) throw table.noRoute(partition);
      const over = new AbortController();
      const work = () => attempt({ route, number }, partition, over.signal);
      const unbind = abortWith(over, signal);
      try {
        return await untilReplaced(context, [{ partition, route }], work, () => over.abort());
      } finally {
        unbind();
      }
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      table.learn(partition, error.fields.leader);
      if (effect === "once" && error.outcome === Outcome.UNKNOWN) wasUnknown = true;
      const mayGoOn =
        mayRepeat(error, effect !== "eachTime") &&
        (await pauses.next([{ partition, leaderEpoch: route?.leaderEpoch }], error));
      if (!mayGoOn) throw wasUnknown ? inDoubt(error) : error;
    }
  }
}

/** Whether a further try may succeed and does no harm. `isRepeatable`: doing it twice is the same as doing it once. */
export function mayRepeat(error: TidemarkError, isRepeatable: boolean): boolean {
  return error.retriable && (isRepeatable || error.outcome === Outcome.NOT_APPLIED);
}

/** The error of the last try, after one whose outcome is not known: that it was not applied says nothing of the other. */
export function inDoubt(error: TidemarkError): TidemarkError {
  return error.outcome === Outcome.NOT_APPLIED ? withOutcome(error, Outcome.UNKNOWN) : error;
}
