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
import type { BrokerSession, EndedSession, Endpoint, SessionEndCause } from "@tidemark/metadata";
import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createLossRecord } from "./loss-record.ts";
import type { Probe } from "./probe.ts";

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

interface Tracked {
  session: BrokerSession;
  lastHeardMs: number;
  streams: number;
  isReleased: boolean;
  /** Whether this controller itself connected to the endpoint since the registration. */
  wasReached: boolean;
  verdict: SessionEndCause | undefined;
}

const incarnationsMax = 1000;

export function createSessionTracker(options: SessionTrackerOptions): SessionTracker {
  const { clock, scheduler, sessionTimeoutMs, connectionGraceMs, onEvent } = options;
  const tracked = new Map<BrokerId, Tracked>();
  const losses = createLossRecord(connectionGraceMs);
  /** Incarnations that were alive after they had been found gone: only silence ends their sessions. */
  const misjudged = new Set<string>();
  const judgedEarly = new Set<string>();
  const tickMs = Math.max(1, sessionTimeoutMs / 24);
  const stallMs = sessionTimeoutMs / 4;
  /** Undefined while this controller is not the active one. What is pending of an older term does nothing. */
  let term: { cancelTick: Cancel } | undefined;

  const find = (brokerId: BrokerId, brokerEpoch: BrokerEpoch): Tracked | undefined => {
    const found = tracked.get(brokerId);
    return found?.session.brokerEpoch === brokerEpoch ? found : undefined;
  };
  const isTracked = (each: Tracked) => tracked.get(each.session.brokerId) === each;

  const condemn = (each: Tracked, cause: SessionEndCause) => {
    if (term === undefined || each.verdict !== undefined) return;
    each.verdict = cause;
    options.onEnded();
  };

  const tick = (expectedMs: number) => {
    const own = term;
    if (own === undefined) return;
    own.cancelTick = scheduler.afterInput(() => {
      if (term !== own) return;
      const nowMs = clock.monotonicMs();
      const lateMs = nowMs - expectedMs;
      if (lateMs > stallMs) {
        onEvent({ kind: "stalled", durationMs: lateMs });
        for (const each of tracked.values()) each.lastHeardMs = nowMs;
      }
      for (const each of tracked.values()) {
        if (nowMs - each.lastHeardMs >= sessionTimeoutMs) condemn(each, "session timeout");
      }
      // Also those whose end could not be committed before.
      if ([...tracked.values()].some((each) => each.verdict !== undefined)) options.onEnded();
      scheduleTick(own);
    });
  };
  const scheduleTick = (own: { cancelTick: Cancel }) => {
    const expectedMs = clock.monotonicMs() + tickMs;
    own.cancelTick = scheduler.after(tickMs, () => tick(expectedMs));
  };

  /** After the grace: a broker that did not come back is probed. */
  const watchLoss = (each: Tracked, lostMs: number, isCounted: boolean) => {
    const own = term;
    const isBack = () => each.streams > 0 || each.lastHeardMs > lostMs;
    const isOver = () => term !== own || own === undefined || !isTracked(each) || each.verdict !== undefined;
    scheduler.after(connectionGraceMs, () =>
      scheduler.afterInput(() => {
        if (isOver() || isBack()) return;
        probe(each, (result) => {
          if (isOver()) return;
          if (!isCounted && result === "refused") losses.add(each.session.brokerId, clock.monotonicMs());
          judgeProbe(each, { result, isBack: isBack(), lostMs: isCounted ? lostMs : clock.monotonicMs() });
        });
      }),
    );
  };

  const judgeProbe = (
    each: Tracked,
    seen: { readonly result: "reached" | "refused" | "unreachable"; readonly isBack: boolean; readonly lostMs: number },
  ) => {
    const { brokerId, incarnationId } = each.session;
    const told = (verdict: Extract<ControllerEvent, { kind: "probed" }>["verdict"]) =>
      onEvent({ kind: "probed", brokerId, result: seen.result, verdict });
    if (seen.result !== "refused" || seen.isBack) return told("waits");
    if (!each.wasReached) return told("never reached before");
    if (misjudged.has(incarnationId)) return told("came back before");
    if (losses.areSuspicious(seen.lostMs, tracked.size)) return told("suspects itself");
    remember(judgedEarly, incarnationId);
    told("ended");
    condemn(each, "connection lost");
  };

  /** Probes the endpoint; the outcome is told after the input was read that came meanwhile. */
  const probe = (each: Tracked, then: (result: "reached" | "refused" | "unreachable") => void) => {
    const endpoint = endpointToProbe(each.session);
    if (endpoint === undefined) return then("unreachable");
    options.probe(endpoint, Math.max(connectionGraceMs, 100)).then(
      (result) => {
        scheduler.afterInput(() => then(result));
      },
      () => then("unreachable"),
    );
  };

  const reach = (each: Tracked) =>
    probe(each, (result) => {
      each.wasReached ||= result === "reached";
    });

  return {
    put(session) {
      const before = tracked.get(session.brokerId);
      if (before !== undefined && before.session.brokerEpoch === session.brokerEpoch) {
        before.session = session;
        return;
      }
      if (judgedEarly.delete(session.incarnationId)) remember(misjudged, session.incarnationId);
      const each: Tracked = {
        session,
        lastHeardMs: clock.monotonicMs(),
        streams: 0,
        isReleased: false,
        wasReached: false,
        verdict: undefined,
      };
      tracked.set(session.brokerId, each);
      reach(each);
    },
    remove(brokerId) {
      tracked.delete(brokerId);
    },
    begin() {
      term?.cancelTick();
      const own = { cancelTick: () => {} };
      term = own;
      losses.clear();
      const nowMs = clock.monotonicMs();
      for (const each of tracked.values()) {
        Object.assign(each, { lastHeardMs: nowMs, streams: 0, verdict: undefined });
        watchLoss(each, nowMs, false);
      }
      scheduleTick(own);
    },
    end() {
      term?.cancelTick();
      term = undefined;
    },
    renew(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each === undefined) return false;
      each.lastHeardMs = clock.monotonicMs();
      // What was found over while its heartbeat was on the way is not over, unless it asked for it.
      if (each.verdict !== undefined && each.verdict !== "shutdown") each.verdict = undefined;
      return true;
    },
    connect(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each === undefined) return () => {};
      each.streams += 1;
      if (!each.wasReached) reach(each);
      const own = term;
      let isOpen = true;
      return () => {
        if (!isOpen || term !== own) return;
        isOpen = false;
        each.streams -= 1;
        if (each.streams > 0 || !isTracked(each)) return;
        if (each.isReleased) return condemn(each, "shutdown");
        const nowMs = clock.monotonicMs();
        onEvent({ kind: "connectionLost", brokerId });
        losses.add(brokerId, nowMs);
        watchLoss(each, nowMs, true);
      };
    },
    release(brokerId, brokerEpoch) {
      const each = find(brokerId, brokerEpoch);
      if (each !== undefined) each.isReleased = true;
    },
    takeEnded() {
      const ended: EndedSession[] = [];
      for (const { session, verdict } of tracked.values()) {
        const { brokerId, brokerEpoch } = session;
        if (verdict !== undefined) ended.push({ brokerId, brokerEpoch, cause: verdict });
      }
      return ended;
    },
  };
}

/** Keeps the latest of what was remembered: an incarnation comes back soon or not at all. */
function remember(incarnations: Set<string>, incarnationId: string): void {
  incarnations.add(incarnationId);
  const [oldest] = incarnations;
  if (incarnations.size > incarnationsMax && oldest !== undefined) incarnations.delete(oldest);
}

/** Peers are reached where they talk to each other. */
function endpointToProbe({ endpoints }: BrokerSession): Endpoint | undefined {
  return endpoints.find((endpoint) => endpoint.listener === "internal") ?? endpoints[0];
}
