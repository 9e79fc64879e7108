import type { BrokerEpoch, BrokerId, Offset } from "@tidemark/ids";
import type { ReplicationGuards } from "./guards.ts";
import type { FetchSession } from "./replica-messages.ts";

/**
 * What a leader knows of one replica. Keeps R2:
 *
 * 1. `flushed` counts for the high watermark. It was reported in this leader epoch, by a fetch with the replica's
 *    newest broker epoch, and lies at or below `verified`.
 * 2. `verified` is the log end that the replica had when its fetch was last found not diverging, in its newest session.
 *    Undefined at the start of each session.
 * 3. Within a session positions only grow, since a follower that cuts its log begins a new session. So a message of
 *    this session that shows less is late, and the first verified fetch of a newer session that shows less is a loss.
 */
export interface ReplicaProgress {
  readonly replica: BrokerId;
  /** The newest that fetches carried, or that the metadata showed. Undefined: neither was seen yet. */
  brokerEpoch: BrokerEpoch | undefined;
  /** True when a fetch of this leader epoch carried `brokerEpoch`: only then may it be proposed (R10). */
  proven: boolean;
  session: FetchSession | undefined;
  verified: Offset | undefined;
  flushed: Offset | undefined;
  /** A position fell below one already counted: the replica has to leave the ISR (R2, R5). */
  lost: boolean;
  /** Orders the reports of all replicas: which member was the last one. */
  reportedAt: number;
  /** The latest time at which everything in the leader's log was flushed here (R5). Starts at the election (R9). */
  caughtUpMs: number;
  /** A log end of the leader and when it was: once flushed here, the replica was caught up at that time. */
  sampleOffset: Offset;
  sampleMs: number;
}

export function createProgress(replica: BrokerId): ReplicaProgress {
  return {
    replica,
    brokerEpoch: undefined,
    proven: false,
    session: undefined,
    verified: undefined,
    flushed: undefined,
    lost: false,
    reportedAt: 0,
    caughtUpMs: 0,
    sampleOffset: 0n as Offset,
    sampleMs: 0,
  };
}

/** Nothing is known of the replica's positions any more: after an election, or of a new incarnation (R2). */
export function forgetPositions(progress: ReplicaProgress): void {
  progress.proven = false;
  progress.session = undefined;
  progress.verified = undefined;
  progress.flushed = undefined;
  progress.lost = false;
}

/** False when a newer incarnation of the replica is known: what this one says counts no longer (R2, R10). */
export function admitBrokerEpoch(
  progress: ReplicaProgress,
  brokerEpoch: BrokerEpoch,
  guards: ReplicationGuards,
): boolean {
  if (progress.brokerEpoch === undefined || brokerEpoch > progress.brokerEpoch) {
    progress.brokerEpoch = brokerEpoch;
    if (guards.brokerEpoch) forgetPositions(progress);
    else progress.session = undefined;
    return true;
  }
  if (brokerEpoch === progress.brokerEpoch) return true;
  if (guards.brokerEpoch) return false;
  progress.session = undefined;
  return true;
}

/** False when a newer session of the replica is known. A newer one begins with nothing verified. */
export function admitSession(progress: ReplicaProgress, session: FetchSession): boolean {
  if (progress.session !== undefined && session < progress.session) return false;
  if (progress.session === undefined || session > progress.session) {
    progress.session = session;
    progress.verified = undefined;
  }
  return true;
}

/**
 * Takes the positions of a fetch that does not diverge. Returns the position that had been counted when the replica
 * has less now, else undefined.
 */
export function recordVerified(
  progress: ReplicaProgress,
  report: { readonly fetched: Offset; readonly flushed: Offset },
): Offset | undefined {
  const flushed = report.flushed < report.fetched ? report.flushed : report.fetched;
  if (progress.verified === undefined) {
    const counted = progress.flushed;
    progress.verified = report.fetched;
    progress.flushed = flushed;
    return counted !== undefined && flushed < counted ? counted : undefined;
  }
  if (report.fetched > progress.verified) progress.verified = report.fetched;
  if (progress.flushed === undefined || flushed > progress.flushed) progress.flushed = flushed;
  return undefined;
}

/** Takes the end of a flush, up to the verified position and no further. */
export function recordFlushed(progress: ReplicaProgress, flushed: Offset, guards: ReplicationGuards): void {
  let counts = flushed;
  if (guards.flushedUpToVerified) {
    if (progress.verified === undefined) return;
    if (counts > progress.verified) counts = progress.verified;
  }
  if (progress.flushed === undefined || counts > progress.flushed) progress.flushed = counts;
}
