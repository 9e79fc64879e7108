import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import { assert } from "./assert.ts";
import type { ConfirmedReads } from "./confirmed-reads.ts";
import type { PartitionContext } from "./context.ts";
import { advanceHighWatermark, isSettled, lastToReport } from "./high-watermark.ts";
import type { IsrProposals } from "./isr-proposals.ts";
import { answerProduced, answerRead } from "./leader-answers.ts";
import type { LeaderHint } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import type { PendingAcks } from "./pending-acks.ts";
import type { PendingFetch, PendingFetches, PendingReplicaFetch } from "./pending-fetches.ts";
import type { ReplicaProgress } from "./replica-progress.ts";

/** One leadership of one partition, from an election to its end. */
export interface LeaderState {
  readonly context: PartitionContext;
  readonly leaderEpoch: LeaderEpoch;
  /** What this broker's own flushes have reached counts like any other member's. */
  readonly own: ReplicaProgress;
  readonly proposals: IsrProposals;
  readonly acksOfAll: PendingAcks;
  readonly acksOfLeader: PendingAcks;
  readonly consumers: PendingFetches<PendingFetch>;
  readonly followers: PendingFetches<PendingReplicaFetch>;
  readonly confirmed: ConfirmedReads;
  readonly heard: { controllerMs: number; followerMs: number; readonly electedMs: number };
  /** When lags were looked at last: a long pause is this process's own. */
  lookedMs: number;
  /** The newest committed state. */
  state: PartitionState;
  /** Whom clients are sent to: this broker until its leadership ends. */
  hint: LeaderHint;
  /** The maximal ISR: whose flushed offsets the high watermark is the least of. */
  counted: readonly ReplicaProgress[];
  /** Numbers the reports, so that the last one is known. */
  reports: number;
  /** A follower whose log is of a later leader epoch than the one that is led. */
  laterReplica: { readonly replica: BrokerId; readonly lastEpoch: LeaderEpoch } | undefined;
  fencedItself: boolean;
  settled: boolean;
}

/** Start of this leader epoch, as the log has it (R8). */
export function epochStartOf(leader: LeaderState): Offset {
  const { log } = leader.context;
  return log.epochs.startOf(leader.leaderEpoch) ?? log.start;
}

/** Looks up whom the high watermark waits for: after each change of the committed or the maximal ISR. */
export function countMembers(leader: LeaderState): void {
  const { context } = leader;
  const members = context.guards.maximalIsr ? leader.proposals.maximal() : leader.state.isr;
  const counted: ReplicaProgress[] = [];
  for (const member of members) {
    const progress = context.progress.get(member);
    assert(progress !== undefined, "an ISR member is an assigned replica");
    counted.push(progress);
  }
  leader.counted = counted;
}

/** A replica's position changed: it is the last one that reported. */
export function noteReporter(leader: LeaderState, progress: ReplicaProgress): void {
  leader.reports++;
  progress.reportedAt = leader.reports;
}

/** Moves the high watermark as far as it goes; answers who waited for it. May rightly do nothing. */
export function maybeAdvance(leader: LeaderState): void {
  const { context } = leader;
  const from = context.highWatermark;
  const to = advanceHighWatermark(from, {
    counted: leader.counted,
    isrSize: leader.state.isr.length,
    minIsr: leader.state.minIsr,
    guards: context.guards,
  });
  if (to === from) return;
  context.highWatermark = to;
  context.out.trace.push({ kind: "highWatermark", from, to, last: lastToReport(leader.counted) });
  maybeSettle(leader);
  for (const ack of leader.acksOfAll.takeUpTo(to)) answerProduced(leader, ack);
  for (const fetch of leader.consumers.takeBelow(to)) answerRead(leader, fetch, to);
}

/** R14: from here on the high watermark tells what exists. */
export function maybeSettle(leader: LeaderState): void {
  const { highWatermark } = leader.context;
  if (leader.settled || !isSettled({ highWatermark, epochStart: epochStartOf(leader) })) return;
  leader.settled = true;
  leader.context.out.trace.push({ kind: "settled", highWatermark });
}
