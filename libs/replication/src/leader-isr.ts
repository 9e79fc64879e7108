/** A leader proposes who is in sync, and takes the controller's word for it (R5, R6, R9, R10). */
import type { BrokerId } from "@tidemark/ids";
import type { AlterPartitionAnswer, ProposalAttempt } from "./controller-messages.ts";
import { mayReturn, passOver, reasonToRemove, startLagClock } from "./isr-lag.ts";
import { endAcksOfAll } from "./leader-answers.ts";
import { countMembers, epochStartOf, type LeaderState, maybeAdvance } from "./leader-state.ts";
import type { PartitionState, ProposedMember } from "./partition-state.ts";
import { createProgress, type ReplicaProgress } from "./replica-progress.ts";

/**
 * Proposes what has to change, one change at a time: first who has to leave, then who may return. May do nothing.
 * Only `reporter`, whose report came right now, may return: a dead replica's last position proves nothing about today.
 */
export function considerIsr(leader: LeaderState, nowMs: number, reporter?: ReplicaProgress): void {
  const { proposals, context, state } = leader;
  noteOwnStall(leader, nowMs);
  if (proposals.open() !== undefined || leader.fencedItself) return;
  if (proposals.mayPropose(context.self, nowMs)) {
    if (maybeRemove(leader, nowMs)) return;
    if (state.recovering) maybeRecover(leader, nowMs);
  }
  if (reporter !== undefined && !state.recovering) maybeAdd(leader, reporter, nowMs);
}

/** Takes the answer to an attempt: it settles the proposal, or it does not (R6). */
export function proposalAnswered(
  leader: LeaderState,
  input: { readonly attempt: ProposalAttempt; readonly answer: AlterPartitionAnswer; readonly nowMs: number },
): void {
  const state = leader.proposals.answered(input.attempt, input.answer, input.nowMs);
  if (state !== undefined && isNews(leader, state)) {
    applyCommitted(leader, state, input.nowMs);
    return;
  }
  countMembers(leader);
  maybeAdvance(leader);
  considerIsr(leader, input.nowMs);
}

/** A newer committed state of this leader epoch. */
export function applyCommitted(leader: LeaderState, state: PartitionState, nowMs: number): void {
  const { context } = leader;
  const before = leader.state;
  leader.state = state;
  leader.proposals.commit(state);
  knowReplicas(leader, nowMs);
  for (const progress of context.progress.values()) {
    if (!state.isr.includes(progress.replica)) progress.lost = false;
    // It returned by what it flushed, not by being on time, so its time begins now.
    else if (!before.isr.includes(progress.replica)) startLagClock(progress, { logEnd: context.log.end, nowMs });
  }
  countMembers(leader);
  const { isr, elr, minIsr, partitionEpoch } = state;
  context.out.trace.push({ kind: "isrCommitted", isr, elr, minIsr, partitionEpoch });
  maybeAdvance(leader);
  // Nothing more is committed until the ISR has grown: whoever waits is told now (R4).
  if (context.guards.minIsr && isr.length < minIsr) endAcksOfAll(leader, "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
  considerIsr(leader, nowMs);
}

/** Makes the table of replicas the assigned ones, the leader included. A new one gets a full lag time (R9). */
export function knowReplicas(leader: LeaderState, nowMs: number): void {
  const { progress, log } = leader.context;
  for (const replica of leader.state.replicas) {
    if (progress.has(replica)) continue;
    const added = createProgress(replica);
    startLagClock(added, { logEnd: log.end, nowMs });
    progress.set(replica, added);
  }
  for (const replica of progress.keys()) if (!leader.state.replicas.includes(replica)) progress.delete(replica);
}

/** An answer may be late: only a higher partition epoch of the same leader epoch is news (R6). */
function isNews(leader: LeaderState, state: PartitionState): boolean {
  if (state.leaderEpoch !== leader.leaderEpoch) return false;
  return state.partitionEpoch > leader.state.partitionEpoch || !leader.context.guards.oldIsrAnswerIgnored;
}

/** What a leader did not see while it stood still itself is held against nobody: for each the time stood still as well. */
function noteOwnStall(leader: LeaderState, nowMs: number): void {
  const { progress, settings } = leader.context;
  const pauseMs = nowMs - leader.lookedMs;
  leader.lookedMs = nowMs;
  if (pauseMs <= settings.stallMs) return;
  for (const member of leader.state.isr) {
    const known = progress.get(member);
    if (known !== undefined) passOver(known, pauseMs, nowMs);
  }
}

function maybeRemove(leader: LeaderState, nowMs: number): boolean {
  const { context, state } = leader;
  const view = { logEnd: context.log.end, nowMs, highWatermark: context.highWatermark, settings: context.settings };
  let reasons: string[] | undefined;
  let staying: BrokerId[] | undefined;
  for (const progress of leader.context.progress.values()) {
    const { replica } = progress;
    if (replica === context.self || !state.isr.includes(replica)) continue;
    const reason = reasonToRemove(progress, view);
    if (reason === undefined) continue;
    reasons = [...(reasons ?? []), reason];
    staying = (staying ?? [...state.isr]).filter((member) => member !== replica);
  }
  if (reasons === undefined || staying === undefined) return false;
  propose(leader, { members: staying, recovering: state.recovering, reason: reasons.join("; ") }, nowMs);
  return true;
}

function maybeAdd(leader: LeaderState, candidate: ReplicaProgress, nowMs: number): void {
  const { context, state } = leader;
  const { isr } = state;
  const { replica } = candidate;
  if (isr.includes(replica) || !leader.proposals.mayPropose(replica, nowMs)) return;
  const { highWatermark, settings, guards, log } = context;
  const epochStart = epochStartOf(leader);
  // Until then its log may prove shorter than its book, and the machine begins anew: it would not know who may have entered.
  if (log.flushed < epochStart) return;
  const view = { logEnd: log.end, highWatermark, epochStart, settings, guards };
  if (!mayReturn(candidate, view)) return;
  candidate.lost = false;
  const reason = `${replica} flushed up to ${candidate.flushed ?? 0n}`;
  propose(leader, { members: [...isr, replica], recovering: false, reason }, nowMs);
}

/** After an unclean election: what this leader starts from is on its disk, so it may serve reads (D2). */
function maybeRecover(leader: LeaderState, nowMs: number): void {
  if (leader.context.log.flushed < epochStartOf(leader)) return;
  propose(leader, { members: leader.state.isr, recovering: false, reason: "recovered" }, nowMs);
}

interface Change {
  readonly members: readonly BrokerId[];
  readonly recovering: boolean;
  readonly reason: string;
}

function propose(leader: LeaderState, change: Change, nowMs: number): void {
  const { members, recovering, reason } = change;
  leader.proposals.propose({ isr: members.map((replica) => memberOf(leader, replica)), recovering, reason }, nowMs);
  countMembers(leader);
}

/** With the broker epoch that its own fetches carried in this leader epoch, and no other (R10). */
function memberOf(leader: LeaderState, replica: BrokerId): ProposedMember {
  if (replica === leader.context.self) return { replica, brokerEpoch: leader.context.brokerEpoch };
  const progress = leader.context.progress.get(replica);
  return { replica, brokerEpoch: progress?.proven === true ? progress.brokerEpoch : undefined };
}
