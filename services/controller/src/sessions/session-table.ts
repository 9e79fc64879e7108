import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import type { BrokerSession, EndedSession } from "@tidemark/metadata";
import type { Clock } from "@tidemark/runtime";
import { type TrackedSession, trackSession } from "./tracked-session.ts";

/** The sessions that there are, and when brokers that have none were heard last. */
export interface SessionTable {
  readonly size: number;
  /** Enters a session. Returns it where it is new; where only its fields changed, undefined. */
  put(session: BrokerSession): TrackedSession | undefined;
  remove(brokerId: BrokerId): void;
  find(brokerId: BrokerId, brokerEpoch: BrokerEpoch): TrackedSession | undefined;
  /** Whether it stands, and was not replaced. */
  has(each: TrackedSession): boolean;
  values(): Iterable<TrackedSession>;
  /** Grants every session its full timeout: a new term knows of no stream and no verdict. */
  grantAll(): void;
  /** What was seen before counts for nothing: everyone was heard a moment ago. */
  observeAnew(): void;
  /** As `SessionTracker.absentForMs`. */
  absentForMs(brokerId: BrokerId): number;
  /** Those with a verdict. */
  ended(): readonly EndedSession[];
}

export function createSessionTable(clock: Clock): SessionTable {
  const tracked = new Map<BrokerId, TrackedSession>();
  const lastHeardMs = new Map<BrokerId, number>();
  let observedSinceMs = clock.monotonicMs();

  const find = (brokerId: BrokerId, brokerEpoch: BrokerEpoch) => {
    const found = tracked.get(brokerId);
    return found?.session.brokerEpoch === brokerEpoch ? found : undefined;
  };
  return {
    get size() {
      return tracked.size;
    },
    put(session) {
      const before = find(session.brokerId, session.brokerEpoch);
      if (before !== undefined) {
        before.session = session;
        return undefined;
      }
      const each = trackSession(session, clock.monotonicMs());
      tracked.set(session.brokerId, each);
      return each;
    },
    remove(brokerId) {
      const each = tracked.get(brokerId);
      if (each !== undefined) lastHeardMs.set(brokerId, each.lastHeardMs);
      tracked.delete(brokerId);
    },
    find,
    has: (each) => tracked.get(each.session.brokerId) === each,
    values: () => tracked.values(),
    grantAll() {
      const nowMs = clock.monotonicMs();
      for (const each of tracked.values()) {
        Object.assign(each, { lastHeardMs: nowMs, streams: 0, isReleased: false, verdict: undefined });
      }
    },
    observeAnew() {
      observedSinceMs = clock.monotonicMs();
      lastHeardMs.clear();
    },
    absentForMs(brokerId) {
      const sinceMs = tracked.get(brokerId)?.sinceMs ?? lastHeardMs.get(brokerId) ?? observedSinceMs;
      return clock.monotonicMs() - sinceMs;
    },
    ended: () =>
      Array.from(tracked.values()).flatMap(({ session: { brokerId, brokerEpoch }, verdict }) =>
        verdict === undefined ? [] : [{ brokerId, brokerEpoch, cause: verdict }],
      ),
  };
}
