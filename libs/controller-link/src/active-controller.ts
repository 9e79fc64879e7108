import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type ChannelPool, type RpcChannel, TidemarkError, type TrafficClass } from "@tidemark/rpc";
import { delay, exponentialBackoffMs, type Runtime } from "@tidemark/runtime";

export interface ActiveControllerOptions {
  /** Internal listeners of some controllers, host:port: from any of them the active one is found. At least one. */
  readonly endpoints: readonly string[];
  readonly pool: Pick<ChannelPool, "get">;
  readonly runtime: Runtime;
}

/**
 * The way to the active controller. It is remembered until it turns out not to be the active one: then its hint is
 * followed, and without a hint the next of the endpoints is asked.
 */
export interface ActiveController {
  /** host:port of the controller that is asked now. */
  readonly endpoint: string;
  channel(trafficClass: TrafficClass): RpcChannel;
  /** Takes note of an answer: follows a hint, or turns to the next endpoint where this one cannot be reached. */
  learnFrom(error: TidemarkError): void;
  /**
   * Calls the active controller, and others after a refusal that says so, until it works, `signal` is aborted, or the
   * error is one that another controller would give too, or `patienceMs` are over. A call whose outcome is unknown is repeated only if the caller
   * says that this does no harm.
   */
  call<Answer>(attempt: (channel: RpcChannel) => Promise<Answer>, options: CallUntil): Promise<Answer>;
}

export interface CallUntil {
  readonly signal: AbortSignal;
  readonly trafficClass: TrafficClass;
  /** Whether doing it twice is the same as doing it once. */
  readonly isRepeatable: boolean;
  /** How long after the first refusal the active controller is looked for, in milliseconds. Absent: until `signal`. */
  readonly patienceMs?: number;
}

/** How long to wait before a further try, in milliseconds: doubles from 50 to 2,000, the later half of it drawn. */
export function backoffMs(failures: number, random: Runtime["random"]): number {
  return exponentialBackoffMs(failures, random, { firstMs: 50, maxMs: 2000 });
}

export function createActiveController(options: ActiveControllerOptions): ActiveController {
  const { endpoints, pool, runtime } = options;
  let place = 0;
  let endpoint = endpoints[0] ?? "";

  const learnFrom = (error: TidemarkError) => {
    const hint = error.fields.controller?.endpoint ?? "";
    if (error.reason === Reason.NOT_CONTROLLER && hint !== "" && hint !== endpoint) {
      endpoint = hint;
      return;
    }
    if (!saysElsewhere(error)) return;
    place = (place + 1) % endpoints.length;
    endpoint = endpoints[place] ?? endpoint;
  };

  return {
    get endpoint() {
      return endpoint;
    },
    channel: (trafficClass) => pool.get(endpoint, trafficClass),
    learnFrom,
    async call(attempt, { signal, trafficClass, isRepeatable, patienceMs = Number.POSITIVE_INFINITY }) {
      let untilMs = Number.POSITIVE_INFINITY;
      for (let failures = 0; ; failures++) {
        signal.throwIfAborted();
        const waitMs = backoffMs(failures, runtime.random);
        try {
          return await attempt(pool.get(endpoint, trafficClass));
        } catch (error) {
          if (!(error instanceof TidemarkError)) throw error;
          learnFrom(error);
          const nowMs = runtime.clock.monotonicMs();
          untilMs = Math.min(untilMs, nowMs + patienceMs);
          if (!mayTryAgain(error, isRepeatable) || nowMs + waitMs > untilMs) throw error;
        }
        await delay(runtime.scheduler, waitMs, signal);
      }
    },
  };
}

/** The controller that was asked is not the one, or not there. */
function saysElsewhere(error: TidemarkError): boolean {
  return (
    error.reason === Reason.NOT_CONTROLLER ||
    error.reason === Reason.UNAVAILABLE ||
    error.reason === Reason.DEADLINE_EXCEEDED ||
    error.reason === Reason.SHUTTING_DOWN
  );
}

/** What may have been done elsewhere is done again only where that does no harm (P12). */
function mayTryAgain(error: TidemarkError, isRepeatable: boolean): boolean {
  if (error.reason === Reason.CANCELLED) return false;
  if (saysElsewhere(error) && error.outcome === Outcome.NOT_APPLIED) return true;
  return error.retriable && isRepeatable;
}
