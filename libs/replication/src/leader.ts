/**
 * One leadership of one partition.
 *
 * | input              | does                                                         | file               |
 * |--------------------|--------------------------------------------------------------|--------------------|
 * | (election)         | forgets positions, writes the epoch's start (R2, R8)         | here               |
 * | produce            | checks, appends or repeats, answers by acks (R4, R11)        | leader-produce     |
 * | flushed            | counts the own log, answers acks=leader                      | leader-produce     |
 * | replicaFetch, standingFetch, replicaFlushed | counts the follower, gives it records (R2, R7) | leader-replication |
 * | consumerFetch, latestOffset, leadershipConfirmed | reads below HW (R3, R14)       | leader-reads       |
 * | proposalAnswered, metadata of this leader epoch  | settles ISR changes (R5, R6)   | leader-isr         |
 * | tick               | lag, deadlines, proposals again, silence                     | here               |
 * | (end)              | ends acks as unknown, fetches with a hint (R12)              | here               |
 */
import { assert } from "./assert.ts";
import { createConfirmedReads } from "./confirmed-reads.ts";
import type { PartitionContext } from "./context.ts";
import type { Confirmation, ProposalAttempt } from "./controller-messages.ts";
import { startLagClock } from "./isr-lag.ts";
import { createIsrProposals } from "./isr-proposals.ts";
import { answerEmpty, endAcks, endReplicaFetches, expireAcks } from "./leader-answers.ts";
import { considerIsr, knowReplicas } from "./leader-isr.ts";
import { endReads, expireReads } from "./leader-reads.ts";
import { countMembers, type LeaderState, maybeAdvance, maybeSettle } from "./leader-state.ts";
import type { LeaderHint, RefusalReason, RequestId } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import { createPendingAcks } from "./pending-acks.ts";
import { createPendingFetches } from "./pending-fetches.ts";
import type { ReplicaRefusal } from "./replica-messages.ts";
import { createProgress, forgetPositions, type ReplicaProgress } from "./replica-progress.ts";
import { silenceThatFences } from "./self-fencing.ts";

/** Numbers that no two leaderships of a partition share. */
export interface LeaderNumbers {
  readonly attempts: { next(): ProposalAttempt };
  readonly confirmations: { next(): Confirmation };
}

/** Begins to lead `state.leaderEpoch`: its start is written before any append. */
export function becomeLeader(
  context: PartitionContext,
  numbers: LeaderNumbers,
  elected: { readonly state: PartitionState; readonly nowMs: number },
): LeaderState {
  const { state, nowMs } = elected;
  const { leaderEpoch } = state;
  assert(state.isr.includes(context.self), "a leader stands in its ISR");
  const leader: LeaderState = {
    context,
    leaderEpoch,
    own: ownProgress(context),
    proposals: createIsrProposals(context, numbers.attempts, state),
    acksOfAll: createPendingAcks(),
    acksOfLeader: createPendingAcks(),
    consumers: createPendingFetches(),
    followers: createPendingFetches(),
    confirmed: createConfirmedReads(context, numbers.confirmations, leaderEpoch),
    heard: { controllerMs: nowMs, followerMs: nowMs, electedMs: nowMs },
    lookedMs: nowMs,
    state,
    hint: { leader: context.self, leaderEpoch },
    counted: [],
    reports: 0,
    laterReplica: undefined,
    fencedItself: false,
    settled: false,
  };
  if (!context.guards.producersTakenOver) context.producers.forget();
  writeEpochStart(leader);
  knowReplicas(leader, nowMs);
  for (const progress of context.progress.values()) {
    if (context.guards.positionsForgottenAtElection) forgetPositions(progress);
    startLagClock(progress, { logEnd: context.log.end, nowMs });
    progress.reportedAt = 0;
  }
  leader.own.verified = context.log.end;
  leader.own.flushed = context.log.flushed;
  countMembers(leader);
  context.out.trace.push({
    kind: "becameLeader",
    leaderEpoch,
    epochStart: context.log.end,
    highWatermark: context.highWatermark,
  });
  maybeSettle(leader);
  maybeAdvance(leader);
  considerIsr(leader, nowMs);
  return leader;
}

/** Time passes: verdicts about lag and silence, deadlines, and what has to be asked again. */
export function tickLeader(
  leader: LeaderState,
  time: { readonly nowMs: number; readonly controllerHeardMs: number },
): void {
  const { nowMs } = time;
  if (time.controllerHeardMs > leader.heard.controllerMs) leader.heard.controllerMs = time.controllerHeardMs;
  expireAcks(leader, nowMs);
  expireReads(leader, nowMs);
  for (const fetch of leader.followers.takeExpired(nowMs)) answerEmpty(leader, fetch);
  maybeFenceItself(leader, nowMs);
  leader.proposals.retry(nowMs);
  considerIsr(leader, nowMs);
}

/** Ends this leadership (R12): what was appended is of unknown fate, whoever waits is sent to `hint`. */
export function endLeadership(
  leader: LeaderState,
  end: { readonly hint: LeaderHint; readonly reason: RefusalReason & ReplicaRefusal },
): void {
  leader.hint = end.hint;
  endAcks(leader, end.reason);
  endReads(leader, end.reason);
  endReplicaFetches(leader, end.reason);
}

/** Nobody waits for this answer any more. */
export function cancelAtLeader(leader: LeaderState, requestId: RequestId): void {
  const isIt = (one: { readonly requestId: RequestId }) => one.requestId === requestId;
  leader.acksOfAll.cancel(requestId);
  leader.acksOfLeader.cancel(requestId);
  leader.consumers.takeWhere(isIt);
  leader.followers.takeWhere(isIt);
  leader.confirmed.takeWhere(isIt);
}

function ownProgress(context: PartitionContext): ReplicaProgress {
  const own = context.progress.get(context.self) ?? createProgress(context.self);
  context.progress.set(context.self, own);
  return own;
}

function writeEpochStart(leader: LeaderState): void {
  const { log, out, guards } = leader.context;
  if (!guards.emptyEpochWritten) return;
  const { leaderEpoch } = leader;
  const assigned = log.epochs.assign(leaderEpoch, log.end);
  assert(assigned, "a log has no leader epoch at or above that of its new leader");
  out.persist.push({ kind: "epochStart", leaderEpoch, startOffset: log.end });
}

function maybeFenceItself(leader: LeaderState, nowMs: number): void {
  const { self, settings, out } = leader.context;
  const { sessionTimeoutMs, uncleanElection } = settings;
  const { state } = leader;
  const silentMs = silenceThatFences(leader.heard, { self, state, nowMs, sessionTimeoutMs, uncleanElection });
  if (silentMs === undefined) {
    if (leader.fencedItself) out.trace.push({ kind: "servesAgain" });
    leader.fencedItself = false;
    return;
  }
  if (leader.fencedItself) return;
  leader.fencedItself = true;
  out.trace.push({ kind: "fencedItself", silentMs });
  endAcks(leader, "LEADER_FENCED_ITSELF");
  endReads(leader, "LEADER_FENCED_ITSELF");
}
