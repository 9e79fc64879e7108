/**
 * The sessions of brokers as the active controller judges them. The keys in the store say which sessions there are;
 * this says when one is over. Times are of the monotonic clock, and every verdict is taken after the input was read.
 *
 * | what is seen                                        | what follows                                              |
 * |-----------------------------------------------------|-----------------------------------------------------------|
 * | a renewal                                           | the session has its full timeout again                    |
 * | silence for the session timeout                     | it ends: session timeout                                  |
 * | its last heartbeat stream ended                     | after the grace, if it did not come back: a probe (D10)   |
 * | the stream ended of a broker that was told to stop  | it ends: shutdown                                         |
 * | the probe is refused                                | it ends: connection lost; four reasons to wait instead:   |
 * |                                                     | this controller never reached that endpoint, the broker   |
 * |                                                     | was back meanwhile, it came back alive after an earlier   |
 * |                                                     | such verdict, or too many were lost at once               |
 * | the probe ends in any other way                     | nothing: silence decides                                  |
 * | this controller begins                              | every session has a full timeout; those that are not      |
 * |                                                     | connected after the grace are probed                      |
 * | this process stalled for a quarter of the timeout   | every observation begins anew                             |
 */
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import type { BrokerSession, EndedSession, SessionEndCause } from "@tidemark/metadata";
import type { Probe } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createConnectionWatch } from "./connection-watch.ts";
import { createSilenceWatch } from "./silence-watch.ts";
import { type TrackedSession, trackSession } from "./tracked-session.ts";

export interface SessionTracker {
  /** A session began (or one takes the place of another), or its fields changed. */
  put(session: BrokerSession): void;
  remove(brokerId: BrokerId): void;
  /** This controller became the active one: sessions are judged from now on. */
  begin(): void;
  /** It is not any more: nothing is judged. */
  end(): void;
  /** A heartbeat came. False where no session of this broker epoch lives. */
  renew(brokerId: BrokerId, brokerEpoch: BrokerEpoch): boolean;
  /** A heartbeat stream of the session opened. Returns what to call when it ends. */
  connect(brokerId: BrokerId, brokerEpoch: BrokerEpoch): () => void;
  /** The broker was told that it may stop. */
  release(brokerId: BrokerId, brokerEpoch: BrokerEpoch): void;
  /**
   * For how long a broker has been away, in milliseconds, as far as this controller saw for itself: since its last sign
   * of life, or since this term began; where it has a session, since that began.
   */
  absentForMs(brokerId: BrokerId): number;
  /** The sessions that were found over and still stand, to be ended in one decision (D9). */
  takeEnded(): readonly EndedSession[];
}

export interface SessionTrackerOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly sessionTimeoutMs: number;
  readonly connectionGraceMs: number;
  readonly probe: Probe;
  /** There are sessions to take with `takeEnded`. */
  readonly onEnded: () => void;
  readonly onEvent: (event: ControllerEvent) => void;
}

export function createSessionTracker(options: SessionTrackerOptions): SessionTracker {
  const { clock, scheduler, sessionTimeoutMs, onEvent, probe } = options;
  const tracked = new Map<BrokerId, TrackedSession>();
  /** When brokers without a session were heard last, as far as that is known in this term. */
  const lastHeardMs = new Map<BrokerId, number>();
  let observedSinceMs = clock.monotonicMs();
  /** One stretch of judging. Undefined while this controller is not the active one. */
  let term: symbol | undefined;

  const condemn = (each: TrackedSession, cause: SessionEndCause) => {
    if (term === undefined || each.verdict !== undefined) return;
    each.verdict = cause;
    const silentMs = clock.monotonicMs() - each.lastHeardMs;
    onEvent({ kind: "sessionOver", brokerId: each.session.brokerId, cause, silentMs });
    options.onEnded();
  };
  const observeAnew = () => {
    observedSinceMs = clock.monotonicMs();
    lastHeardMs.clear();
  };
  const isTracked = (each: TrackedSession) => tracked.get(each.session.brokerId) === each;
  const find = (brokerId: BrokerId, brokerEpoch: BrokerEpoch): TrackedSession | undefined => {
    const found = tracked.get(brokerId);
    return found?.session.brokerEpoch === brokerEpoch ? found : undefined;
  };
  const connections = createConnectionWatch({
    clock,
    scheduler,
    graceMs: options.connectionGraceMs,
    probe,
    isOpen: (each) => isTracked(each) && each.verdict === undefined,
    sessions: () => tracked.size,
    onGone: (each) => condemn(each, "connection lost"),
    onEvent,
  });
  const silence = createSilenceWatch({
    clock,
    scheduler,
    sessionTimeoutMs,
    sessions: () => tracked.values(),
    onSilent: (each) => condemn(each, "session timeout"),
    onLooked() {
      // Also those whose end could not be committed before.
      if ([...tracked.values()].some((each) => each.verdict !== undefined)) options.onEnded();
    },
    onStalled(durationMs) {
      observeAnew();
      onEvent({ kind: "stalled", durationMs });
    },
  });

  return {
    put(session) {
      const before = find(session.brokerId, session.brokerEpoch);
      if (before !== undefined) {
        before.session = session;
        return;
      }
      const each = trackSession(session, clock.monotonicMs());
      tracked.set(session.brokerId, each);
      connections.registered(each);
    },
    remove(brokerId) {
      const each = tracked.get(brokerId);
      if (each !== undefined) lastHeardMs.set(brokerId, each.lastHeardMs);
      tracked.delete(brokerId);
    },
    begin() {
      term = Symbol("term");
      observeAnew();
      const nowMs = clock.monotonicMs();
      for (const each of tracked.values()) {
        Object.assign(each, { lastHeardMs: nowMs, streams: 0, isReleased: false, verdict: undefined });
      }
      connections.begin(tracked.values());
      silence.begin();
    },
    end() {
      term = undefined;
      connections.end();
      silence.end();
    },
    renew(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each === undefined) return false;
      each.lastHeardMs = clock.monotonicMs();
      // What was found over while its heartbeat was on the way is not over, unless it asked for it.
      if (each.verdict !== "shutdown") each.verdict = undefined;
      return true;
    },
    connect(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each === undefined) return () => undefined;
      each.streams += 1;
      connections.connected(each);
      const own = term;
      let isClosed = false;
      return () => {
        if (isClosed || term !== own) return;
        isClosed = true;
        each.streams -= 1;
        if (each.streams > 0 || !isTracked(each)) return;
        if (each.isReleased) condemn(each, "shutdown");
        else connections.lost(each);
      };
    },
    release(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each !== undefined) each.isReleased = true;
    },
    absentForMs(brokerId) {
      const sinceMs = tracked.get(brokerId)?.sinceMs ?? lastHeardMs.get(brokerId) ?? observedSinceMs;
      return clock.monotonicMs() - sinceMs;
    },
    takeEnded: () => endedOf(tracked.values()),
  };
}

function endedOf(sessions: Iterable<TrackedSession>): readonly EndedSession[] {
  const ended: EndedSession[] = [];
  for (const { session, verdict } of sessions) {
    const { brokerId, brokerEpoch } = session;
    if (verdict !== undefined) ended.push({ brokerId, brokerEpoch, cause: verdict });
  }
  return ended;
}
