import type { BrokerEpoch, BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import { type LeaderEnd, lagMs } from "./isr-lag.ts";
import type { OpenProposal } from "./isr-proposals.ts";
import type { EpochStart } from "./leader-epochs.ts";
import { epochStartOf, type LeaderState } from "./leader-state.ts";
import type { LeaderHint } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import type { ReplicaProgress } from "./replica-progress.ts";

/** A copy of what a partition knows, made on demand: for descriptions, metrics, ExplainOffset and invariants. */
export interface PartitionView {
  readonly self: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly role: "waiting" | "leader" | "follower" | "leaderless" | "resigned" | "regressed" | "offline";
  /** Who leads, by the newest metadata. */
  readonly hint: LeaderHint;
  /** The newest metadata; undefined before any came. */
  readonly state: PartitionState | undefined;
  readonly logStart: Offset;
  readonly logEnd: Offset;
  readonly flushed: Offset;
  readonly highWatermark: Offset;
  /** Oldest first. */
  readonly leaderEpochs: readonly EpochStart[];
  /**
   * The newest leader epoch that this replica has seen, in its log or in metadata, where the newest metadata are older.
   * Undefined: they are not.
   */
  readonly regressedFrom: LeaderEpoch | undefined;
  /** Present while it leads. */
  readonly leadership: LeadershipView | undefined;
}

export interface LeadershipView {
  readonly leaderEpoch: LeaderEpoch;
  readonly epochStart: Offset;
  /** R14. */
  readonly settled: boolean;
  readonly fencedItself: boolean;
  /** The committed ISR together with every replica of an unsettled change. */
  readonly maximalIsr: readonly BrokerId[];
  readonly proposal: OpenProposal | undefined;
  /** In the order of the assignment, this broker included. */
  readonly replicas: readonly ReplicaView[];
  readonly pendingAcks: number;
  readonly pendingFetches: number;
}

export interface ReplicaView {
  readonly replica: BrokerId;
  /** Log end at its last fetch that did not diverge. Undefined: unknown in this leader epoch. */
  readonly verified: Offset | undefined;
  /** Counted for the high watermark. Undefined: unknown in this leader epoch. */
  readonly flushed: Offset | undefined;
  /** Milliseconds for which it has not been caught up; 0 while it is. */
  readonly lagMs: number;
  readonly inIsr: boolean;
}

/** `nowMs` is what lags are measured against. */
export function viewLeadership(leader: LeaderState, nowMs: number): LeadershipView {
  const { context, state } = leader;
  const leaderEnd = { logEnd: context.log.end, nowMs };
  const replicas: ReplicaView[] = [];
  for (const replica of state.replicas) {
    const progress = context.progress.get(replica);
    if (progress === undefined) continue;
    const { verified, flushed } = progress;
    const inIsr = state.isr.includes(replica);
    // What the leader has itself does not lag.
    const lagMs = replica === context.self ? 0 : shownLagMs(progress, leaderEnd, inIsr);
    replicas.push({ replica, verified, flushed, lagMs, inIsr });
  }
  return {
    leaderEpoch: leader.leaderEpoch,
    epochStart: epochStartOf(leader),
    settled: leader.settled,
    fencedItself: leader.fencedItself,
    maximalIsr: leader.proposals.maximal(),
    proposal: leader.proposals.open(),
    replicas,
    pendingAcks: leader.acksOfAll.size + leader.acksOfLeader.size,
    pendingFetches: leader.consumers.size + leader.followers.size + leader.confirmed.size,
  };
}

/**
 * A member that has everything does not lag. One that is not in sync is behind since it was seen to have everything: it
 * may be gone for good, though nothing was appended since.
 */
function shownLagMs(progress: ReplicaProgress, end: LeaderEnd, inIsr: boolean): number {
  return inIsr ? lagMs(progress, end) : end.nowMs - progress.caughtUpMs;
}
