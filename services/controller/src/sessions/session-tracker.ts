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
import { type ConnectionWatch, createConnectionWatch } from "./connection-watch.ts";
import { createSessionTable, type SessionTable } from "./session-table.ts";
import { createSilenceWatch, type SilenceWatch } from "./silence-watch.ts";
import type { TrackedSession } from "./tracked-session.ts";

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
  const { clock, onEvent } = options;
  const table = createSessionTable(clock);
  /** One stretch of judging. Undefined while this controller is not the active one. */
  let term: symbol | undefined;

  const condemn = (each: TrackedSession, cause: SessionEndCause) => {
    if (term === undefined || each.verdict !== undefined) return;
    each.verdict = cause;
    const silentMs = clock.monotonicMs() - each.lastHeardMs;
    onEvent({ kind: "sessionOver", brokerId: each.session.brokerId, cause, silentMs });
    options.onEnded();
  };
  const { connections, silence } = createWatches(options, table, condemn);
  const disconnect = (each: TrackedSession) => {
    each.streams -= 1;
    if (each.streams > 0 || !table.has(each)) return;
    if (each.isReleased) condemn(each, "shutdown");
    else connections.lost(each);
  };

  return {
    put(session) {
      const begun = table.put(session);
      if (begun !== undefined) connections.registered(begun);
    },
    remove: (brokerId) => table.remove(brokerId),
    begin() {
      term = Symbol("term");
      table.observeAnew();
      table.grantAll();
      connections.begin(table.values());
      silence.begin();
    },
    end() {
      term = undefined;
      connections.end();
      silence.end();
    },
    renew(brokerId, brokerEpoch) {
      const each = table.find(brokerId, brokerEpoch);
      if (each === undefined) return false;
      each.lastHeardMs = clock.monotonicMs();
      // What was found over while its heartbeat was on the way is not over, unless it asked for it.
      if (each.verdict !== undefined && each.verdict !== "shutdown") {
        each.verdict = undefined;
        onEvent({ kind: "sessionBack", brokerId });
      }
      return true;
    },
    connect(brokerId, brokerEpoch) {
      const each = table.find(brokerId, brokerEpoch);
      if (each === undefined) return () => undefined;
      each.streams += 1;
      connections.connected(each);
      const own = term;
      let isClosed = false;
      return () => {
        if (isClosed || term !== own) return;
        isClosed = true;
        disconnect(each);
      };
    },
    release(brokerId, brokerEpoch) {
      const each = table.find(brokerId, brokerEpoch);
      if (each !== undefined) each.isReleased = true;
    },
    absentForMs: (brokerId) => table.absentForMs(brokerId),
    takeEnded: () => table.ended(),
  };
}

/** What finds sessions over: lost connections and silence. */
function createWatches(
  options: SessionTrackerOptions,
  table: SessionTable,
  condemn: (each: TrackedSession, cause: SessionEndCause) => void,
): { readonly connections: ConnectionWatch; readonly silence: SilenceWatch } {
  const { clock, scheduler, onEvent } = options;
  const connections = createConnectionWatch({
    clock,
    scheduler,
    graceMs: options.connectionGraceMs,
    probe: options.probe,
    isOpen: (each) => table.has(each) && each.verdict === undefined,
    sessions: () => table.size,
    onGone: (each) => condemn(each, "connection lost"),
    onEvent,
  });
  const silence = createSilenceWatch({
    clock,
    scheduler,
    sessionTimeoutMs: options.sessionTimeoutMs,
    sessions: () => table.values(),
    onSilent: (each) => condemn(each, "session timeout"),
    onLooked() {
      // Also those whose end could not be committed before.
      if (table.ended().length > 0) options.onEnded();
    },
    onStalled(durationMs) {
      table.observeAnew();
      onEvent({ kind: "stalled", durationMs });
    },
  });
  return { connections, silence };
}
