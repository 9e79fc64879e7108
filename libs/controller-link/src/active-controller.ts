import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type ChannelPool, createRpcClient, type RpcChannel, TidemarkError, type TrafficClass } from "@tidemark/rpc";
import { abortWith, delay, exponentialBackoffMs, type Runtime } from "@tidemark/runtime";
import { createWhereabouts } from "./whereabouts.ts";

export interface ActiveControllerOptions {
  /** Internal listeners of some controllers, host:port: from any of them the active one is found. At least one. */
  readonly endpoints: readonly string[];
  readonly pool: Pick<ChannelPool, "get" | "renew">;
  readonly runtime: Runtime;
}

/**
 * The way to the active controller. It is remembered until it turns out not to be the active one: then its hint is
 * followed, and without a hint the next of the endpoints is asked. While `follow` runs, every controller tells of a newer
 * one: one that is frozen or cut off says nothing, and is left as soon as another has taken its place.
 */
export interface ActiveController {
  /** host:port of the controller that is asked now. */
  readonly endpoint: string;
  channel(trafficClass: TrafficClass): RpcChannel;
  /** Aborted as soon as the one that is asked now is known to be replaced: a stream from it is opened elsewhere. */
  readonly superseded: AbortSignal;
  /**
   * Aborted a moment later, for calls with one answer: what the replaced one still answers is heard, and nobody waits for
   * what it does not.
   */
  readonly givenUp: AbortSignal;
  /**
   * Takes note of an answer of the controller at `from`: follows a hint, or turns to the next endpoint where that one
   * cannot be reached. What comes late, of one that is not asked any more, says nothing of the one that is.
   */
  learnFrom(error: TidemarkError, from: string): void;
  /**
   * Waits before a further try: as `backoffMs` says, no longer than until a controller tells that it is the active one now,
   * and a moment only where the one that is asked told so just before. Rejects with the signal's reason.
   */
  pause(failures: number, signal: AbortSignal): Promise<void>;
  /**
   * Calls the active controller, and others after a refusal that says so, until it works, `signal` is aborted, or the
   * error is one that another controller would give too, or `patienceMs` are over. A call whose outcome is unknown is repeated only if the caller
   * says that this does no harm. An attempt passes the signal that it is given on to its call.
   */
  call<Answer>(
    attempt: (channel: RpcChannel, signal: AbortSignal) => Promise<Answer>,
    options: CallUntil,
  ): Promise<Answer>;
  /** Listens to every controller until `signal` is aborted; with one endpoint there is nobody else. Never rejects. */
  follow(signal: AbortSignal): Promise<void>;
}

export interface CallUntil {
  readonly signal: AbortSignal;
  readonly trafficClass: TrafficClass;
  /** Whether doing it twice is the same as doing it once. */
  readonly isRepeatable: boolean;
  /**
   * How long after the first refusal the active controller is looked for, in milliseconds. Absent: until `signal`, and
   * where the metadata are sealed until they are found elsewhere or the seal is taken off.
   */
  readonly patienceMs?: number;
}

/** How long to wait before a further try, in milliseconds: doubles from 50 to 2,000, the later half of it drawn. */
export function backoffMs(failures: number, random: Runtime["random"]): number {
  return exponentialBackoffMs(failures, random, { firstMs: 50, maxMs: 2000 });
}

/** Between two tries of a controller that is about to become the active one, in milliseconds. */
const soonMs = 50;

export function createActiveController(options: ActiveControllerOptions): ActiveController {
  const { endpoints, pool, runtime } = options;
  const places = createWhereabouts(endpoints, runtime.scheduler);
  /** Controllers that could not be listened to when it was tried last. */
  const unheard = new Set<string>();

  const learnFrom = (error: TidemarkError, from: string) => {
    const hint = error.reason === Reason.NOT_CONTROLLER ? error.fields.controller : undefined;
    if (hint !== undefined && places.hinted(hint)) return;
    const isElsewhere = saysElsewhere(error) || error.reason === Reason.METADATA_SEALED;
    if (!isElsewhere || from !== places.endpoint) return;
    // It was told to be the active one, and says that it is not: it begins at this moment, or the next one will be told.
    if (error.reason === Reason.NOT_CONTROLLER && places.isTold) return;
    places.turnToNext();
  };

  /** However long nobody was there before: who was told of takes its place within moments. */
  const sooner = (waitMs: number) => (places.isBeginning ? Math.min(waitMs, soonMs) : waitMs);

  const wait = async (waitMs: number, signal: AbortSignal, news = places.news) => {
    const woken = new AbortController();
    const unbind = abortWith(woken, signal, news);
    try {
      await delay(runtime.scheduler, waitMs, woken.signal);
    } catch (reason) {
      if (signal.aborted) throw reason;
    } finally {
      unbind();
    }
  };

  return {
    get endpoint() {
      return places.endpoint;
    },
    pause: (failures, signal) => wait(sooner(backoffMs(failures, runtime.random)), signal),
    channel: (trafficClass) => pool.get(places.endpoint, trafficClass),
    get superseded() {
      return places.superseded;
    },
    get givenUp() {
      return places.givenUp;
    },
    learnFrom,
    async call(attempt, { signal, trafficClass, isRepeatable, patienceMs = Number.POSITIVE_INFINITY }) {
      let untilMs = Number.POSITIVE_INFINITY;
      for (let failures = 0; ; failures++) {
        signal.throwIfAborted();
        let waitMs = backoffMs(failures, runtime.random);
        const { endpoint, givenUp, news } = places;
        const over = new AbortController();
        const unbind = abortWith(over, signal, givenUp);
        const channel = pool.get(endpoint, trafficClass);
        try {
          return await attempt(channel, over.signal);
        } catch (thrown) {
          if (!(thrown instanceof TidemarkError)) throw thrown;
          const isOurs = thrown.reason === Reason.CANCELLED && !signal.aborted;
          const isClosed = isOurs && !over.signal.aborted && channel.state() === "closed";
          let error = thrown;
          if (isClosed) error = connectedAnewError(thrown, endpoint);
          else if (isOurs && givenUp.aborted) error = supersededError(thrown, { from: endpoint, to: places.endpoint });
          else learnFrom(error, endpoint);
          waitMs = sooner(waitMs);
          const nowMs = runtime.clock.monotonicMs();
          untilMs = Math.min(untilMs, nowMs + patienceMs);
          const isWaitedOut = error.reason === Reason.METADATA_SEALED && patienceMs === Number.POSITIVE_INFINITY;
          if (!(isWaitedOut || mayTryAgain(error, isRepeatable)) || nowMs + waitMs > untilMs) throw error;
        } finally {
          unbind();
        }
        await wait(waitMs, signal, news);
      }
    },
    async follow(signal) {
      if (endpoints.length < 2) return;
      const onTold: Told = (active) => {
        // A connection that was refused for a while waits before it is tried again, and all calls on it fail meanwhile.
        if (unheard.delete(active.endpoint)) pool.renew(active.endpoint);
        places.told(active);
      };
      const from = (endpoint: string) => ({
        signal,
        onTold,
        onHeard: () => unheard.delete(endpoint),
        onLost: () => unheard.add(endpoint),
      });
      await Promise.all(endpoints.map((each) => hearFrom(each, options, from(each))));
    },
  };
}

type Told = (active: { readonly controllerEpoch: number; readonly endpoint: string }) => void;

/** Listens to one controller for as long as it takes. */
async function hearFrom(
  endpoint: string,
  { pool, runtime }: ActiveControllerOptions,
  on: {
    readonly signal: AbortSignal;
    readonly onTold: Told;
    readonly onHeard: () => void;
    readonly onLost: () => void;
  },
): Promise<void> {
  const { signal } = on;
  const isOver = () => signal.aborted;
  for (let failures = 0; !isOver(); failures++) {
    try {
      const client = createRpcClient(ClusterService, pool.get(endpoint, "control"));
      for await (const active of client.watchController({}, { signal })) {
        failures = 0;
        on.onHeard();
        on.onTold(active);
      }
    } catch {
      // It is not there: whoever is tells, and it does so itself when it is back.
      on.onLost();
    }
    if (isOver()) return;
    await delay(runtime.scheduler, backoffMs(failures, runtime.random), signal).catch(() => undefined);
  }
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

/** What a call fails with that was given up. What never left goes to the next controller; the rest may have been done. */
function supersededError(
  { outcome, cause }: TidemarkError,
  { from, to }: { readonly from: string; readonly to: string },
): TidemarkError {
  const replaced = `The controller at ${from} did not answer before the one at ${to} took its place`;
  if (outcome === Outcome.NOT_APPLIED) return new TidemarkError({ reason: Reason.NOT_CONTROLLER, message: replaced });
  return new TidemarkError({
    reason: Reason.METADATA_OUTCOME_UNKNOWN,
    message: `${replaced}: it is not known whether the change was committed. Read back before a retry`,
    cause,
  });
}

/** What a call fails with whose connection was given up for a new one: nothing is said of the controller. */
function connectedAnewError({ outcome, cause }: TidemarkError, endpoint: string): TidemarkError {
  const message = `The connection to the controller at ${endpoint} was made anew`;
  return new TidemarkError({ reason: Reason.UNAVAILABLE, message, outcome, cause });
}

/** What may have been done elsewhere is done again only where that does no harm (P12). */
function mayTryAgain(error: TidemarkError, isRepeatable: boolean): boolean {
  if (error.reason === Reason.CANCELLED) return false;
  if (saysElsewhere(error) && error.outcome === Outcome.NOT_APPLIED) return true;
  return error.retriable && isRepeatable;
}
