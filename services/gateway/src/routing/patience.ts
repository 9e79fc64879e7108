import { backoffMs } from "@tidemark/controller-link";
import type { TidemarkError } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { RoutedPartition, RouteTable } from "./route-table.ts";

/** How long a call goes on trying. */
export interface Patience {
  /** Milliseconds left. Undefined: no limit. */
  remainingMs(): number | undefined;
  /** Aborted when the caller is gone or the gateway stops. */
  readonly signal: AbortSignal;
}

/** A partition with the leader epoch that was asked in vain; undefined: there was none to ask. */
export interface Refused {
  readonly partition: RoutedPartition;
  readonly leaderEpoch: number | undefined;
}

/** Routes of a newer leader epoch that may be followed without a pause between: no two brokers play ping-pong. */
const hopsMax = 3;

/** The pauses of one call that is tried again and again. */
export interface Pauses {
  /**
   * Resolves with true when it makes sense to try again: at once where a newer leader is known already, else when one
   * becomes known or after a backoff. With false when time is up or the caller gone: then the error stands.
   */
  next(refused: readonly Refused[], error: TidemarkError): Promise<boolean>;
  /** It worked: the next pause is a first one. */
  reset(): void;
}

export function createPauses(table: RouteTable, runtime: Runtime, patience: Patience): Pauses {
  let failures = 0;
  let hops = 0;
  // A newer leader that was pointed to in a circle is no reason to hurry.
  let isInCircle = false;

  return {
    next(refused, error) {
      if (patience.signal.aborted) return Promise.resolve(false);
      const isNewerKnown = () => refused.some((each) => isNewer(table, each));
      if (hops < hopsMax && isNewerKnown()) {
        hops += 1;
        if (!isInCircle) failures = 0;
        return Promise.resolve((patience.remainingMs() ?? 1) > 0);
      }
      const mayHop = hops < hopsMax;
      if (!mayHop) isInCircle = true;
      hops = 0;
      const waitMs = Math.max(backoffMs(failures++, runtime.random), error.fields.retryAfterMs ?? 0);
      if (waitMs >= (patience.remainingMs() ?? Number.POSITIVE_INFINITY)) return Promise.resolve(false);
      return wait(waitMs, mayHop ? isNewerKnown : () => false);
    },
    reset() {
      failures = 0;
      hops = 0;
      isInCircle = false;
    },
  };

  function wait(waitMs: number, isNewerKnown: () => boolean): Promise<boolean> {
    const { signal } = patience;
    return new Promise((resolve) => {
      const settle = (again: boolean) => {
        cancel();
        unwatch();
        signal.removeEventListener("abort", onAbort);
        resolve(again);
      };
      const onAbort = () => settle(false);
      const cancel = runtime.scheduler.after(waitMs, () => settle(true));
      const unwatch = table.onChange(() => {
        if (!isNewerKnown()) return;
        // What failed before says nothing about the newer leader, which may need a moment to learn that it leads.
        if (!isInCircle) failures = 0;
        settle(true);
      });
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

function isNewer(table: RouteTable, { partition, leaderEpoch }: Refused): boolean {
  const route = table.route(partition);
  return route !== undefined && (leaderEpoch === undefined || route.leaderEpoch > leaderEpoch);
}
