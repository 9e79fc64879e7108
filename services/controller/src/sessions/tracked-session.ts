import type { BrokerSession, SessionEndCause } from "@tidemark/metadata";

/** A session as the tracker sees it; changed in place, by the parts of the tracker alone. */
export interface TrackedSession {
  session: BrokerSession;
  /** When this controller first saw it. Monotonic clock. */
  readonly sinceMs: number;
  /** When it was renewed last, or granted its full timeout. Monotonic clock. */
  lastHeardMs: number;
  /** Heartbeat streams that are open. */
  streams: number;
  /** The broker was told that it may stop. */
  isReleased: boolean;
  /** Whether this controller itself connected to the endpoint since the registration (D10). */
  wasReached: boolean;
  /** Why it is over. Undefined while it is not. */
  verdict: SessionEndCause | undefined;
}

export function trackSession(session: BrokerSession, nowMs: number): TrackedSession {
  return {
    session,
    sinceMs: nowMs,
    lastHeardMs: nowMs,
    streams: 0,
    isReleased: false,
    wasReached: false,
    verdict: undefined,
  };
}
