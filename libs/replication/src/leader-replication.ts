/**
 * A leader answers its followers and learns how far they are (R2, R5, R7).
 *
 * | a fetch                                   | is answered              | and counts as                             |
 * |-------------------------------------------|--------------------------|-------------------------------------------|
 * | of an older leader epoch                  | FENCED_LEADER_EPOCH      | nothing                                   |
 * | of a newer leader epoch                   | UNKNOWN_LEADER_EPOCH     | nothing                                   |
 * | of a broker that holds no replica         | NOT_A_REPLICA            | nothing                                   |
 * | with an older broker epoch                | STALE_BROKER_EPOCH       | nothing                                   |
 * | of an older session                       | STALE_SESSION            | nothing                                   |
 * | of a log of a later leader epoch          | METADATA_REGRESSED       | nothing: nobody leads any more            |
 * | from below the log start                  | behind the log start     | a sign of life                            |
 * | whose (log end, last epoch) diverges      | where the logs part      | a sign of life                            |
 * | otherwise                                 | records, or waits        | verified and flushed positions            |
 * | that stands, asked on by its stream       | records, or waits        | nothing: the follower said nothing        |
 */
import { noteReport } from "./isr-lag.ts";
import { answerEmpty, answerReplicaRead } from "./leader-answers.ts";
import { considerIsr } from "./leader-isr.ts";
import { type LeaderState, maybeAdvance, noteReporter } from "./leader-state.ts";
import type { RequestId } from "./outputs.ts";
import { findDivergence } from "./replica-log.ts";
import type { ReplicaFetch, ReplicaFlushed, ReplicaRefusal, StandingFetch } from "./replica-messages.ts";
import {
  admitBrokerEpoch,
  admitSession,
  type ReplicaProgress,
  recordFlushed,
  recordVerified,
} from "./replica-progress.ts";

export interface ReplicaFetchInput {
  readonly requestId: RequestId;
  readonly fetch: ReplicaFetch;
  readonly deadlineMs: number;
  readonly nowMs: number;
}

export interface StandingFetchInput extends Omit<ReplicaFetchInput, "fetch"> {
  readonly fetch: StandingFetch;
}

/** Takes a follower's positions and gives it what it asks for, now or when there is something. */
export function replicaFetch(leader: LeaderState, input: ReplicaFetchInput): void {
  const { context } = leader;
  const { requestId, fetch, nowMs } = input;
  const progress = admit(leader, fetch);
  if (typeof progress === "string") {
    refuseReplica(leader, input, progress);
    return;
  }
  const { lastFetchedEpoch: lastEpoch } = fetch;
  if (fetch.leaderEpoch === leader.leaderEpoch && lastEpoch > leader.leaderEpoch) {
    leader.laterReplica = { replica: fetch.replica, lastEpoch };
    refuseReplica(leader, input, "METADATA_REGRESSED");
    return;
  }
  hear(leader, nowMs);
  progress.proven = true;
  const { replica, session } = fetch;
  const { leaderEpoch } = leader;
  for (const older of leader.followers.takeWhere((one) => one.replica === replica && one.session < session)) {
    answerEmpty(leader, older);
  }
  if (fetch.fetched < context.log.start || fetch.fetchOffset < context.log.start) {
    const logStart = context.log.start;
    context.out.answer.push({ kind: "replicaBehindLogStart", requestId, replica, session, leaderEpoch, logStart });
    // Unless the message is a late one of a session that showed more, the replica lacks what every member has.
    const late = progress.verified !== undefined && fetch.fetched < progress.verified;
    if (!late && leader.state.isr.includes(replica)) progress.lost = true;
    considerIsr(leader, nowMs);
    return;
  }
  const position = { offset: fetch.fetched, lastEpoch: fetch.lastFetchedEpoch };
  const divergence = findDivergence(context.log, position);
  if (divergence !== undefined) {
    context.out.answer.push({ kind: "replicaDiverging", requestId, replica, session, leaderEpoch, divergence });
    context.out.trace.push({ kind: "diverging", replica, ...position, ...divergence });
  }
  if (divergence === undefined || !context.guards.divergingFetchIgnored) count(leader, progress, fetch, nowMs);
  if (divergence !== undefined) return;
  const waiting = { requestId, replica, session, offset: fetch.fetchOffset, deadlineMs: input.deadlineMs };
  if (waiting.offset < context.log.end) answerReplicaRead(leader, waiting);
  else if (waiting.deadlineMs <= nowMs) answerEmpty(leader, waiting);
  else leader.followers.add(waiting);
}

/**
 * Goes on answering a fetch that stands. From below the log start nothing is read: the follower is answered that there is
 * nothing, asks by itself, and learns where it stands.
 */
export function standingFetch(leader: LeaderState, input: StandingFetchInput): void {
  const { log } = leader.context;
  const { requestId, fetch, nowMs, deadlineMs } = input;
  const refusal = reasonNotToGoOn(leader, fetch);
  if (refusal !== undefined) {
    refuseReplica(leader, input, refusal);
    return;
  }
  const { replica, session, fetchOffset: offset } = fetch;
  const waiting = { requestId, replica, session, offset, deadlineMs };
  if (offset < log.start || deadlineMs <= nowMs) answerEmpty(leader, waiting);
  else if (offset < log.end) answerReplicaRead(leader, waiting);
  else leader.followers.add(waiting);
}

/** A follower's flush ended. Counts up to what was verified, by a fetch or by this report (R2). */
export function replicaFlushed(leader: LeaderState, report: ReplicaFlushed, nowMs: number): void {
  const progress = admit(leader, report);
  if (typeof progress === "string") return;
  hear(leader, nowMs);
  const before = progress.flushed;
  verifyReport(leader, progress, report);
  recordFlushed(progress, report.flushed, leader.context.guards);
  if (progress.flushed === before) return;
  noteReporter(leader, progress);
  moved(leader, progress, nowMs);
}

/**
 * Within a session a log only grows, by what this leader sent: what a fetch has shown is where it grew from, so a report
 * may go on from there. The first position of a session is for a fetch to show, which is answered where the logs part.
 */
function verifyReport(leader: LeaderState, progress: ReplicaProgress, { position }: ReplicaFlushed): void {
  const { log, guards } = leader.context;
  if (position === undefined || progress.verified === undefined) return;
  if (position.fetched <= progress.verified || position.fetched < log.start) return;
  const isOfLog = findDivergence(log, { offset: position.fetched, lastEpoch: position.lastFetchedEpoch }) === undefined;
  if (isOfLog || !guards.divergingFetchIgnored) progress.verified = position.fetched;
}

/** The progress of the replica that speaks, or why it is not listened to. */
function admit(leader: LeaderState, message: ReplicaFetch | ReplicaFlushed): ReplicaProgress | ReplicaRefusal {
  const { guards, progress: table, self } = leader.context;
  if (guards.leaderEpochOnFetch && message.leaderEpoch !== leader.leaderEpoch) {
    return message.leaderEpoch < leader.leaderEpoch ? "FENCED_LEADER_EPOCH" : "UNKNOWN_LEADER_EPOCH";
  }
  const progress = table.get(message.replica);
  if (progress === undefined || message.replica === self) return "NOT_A_REPLICA";
  if (!admitBrokerEpoch(progress, message.brokerEpoch, guards)) return "STALE_BROKER_EPOCH";
  return admitSession(progress, message.session) ? progress : "STALE_SESSION";
}

/** Only the session that the follower itself spoke in last goes on. */
function reasonNotToGoOn({ context, leaderEpoch }: LeaderState, fetch: StandingFetch): ReplicaRefusal | undefined {
  if (fetch.leaderEpoch !== leaderEpoch) return "FENCED_LEADER_EPOCH";
  const progress = context.progress.get(fetch.replica);
  if (progress === undefined) return "NOT_A_REPLICA";
  const isCurrent = progress.brokerEpoch === fetch.brokerEpoch && progress.session === fetch.session;
  return isCurrent ? undefined : "STALE_SESSION";
}

function count(leader: LeaderState, progress: ReplicaProgress, fetch: ReplicaFetch, nowMs: number): void {
  const before = progress.flushed;
  const counted = recordVerified(progress, fetch);
  if (counted !== undefined) {
    const { replica, flushed } = fetch;
    leader.context.out.trace.push({ kind: "positionLost", replica, counted, reported: flushed });
    if (leader.state.isr.includes(replica)) progress.lost = true;
  }
  if (progress.flushed !== before) noteReporter(leader, progress);
  moved(leader, progress, nowMs);
}

function moved(leader: LeaderState, progress: ReplicaProgress, nowMs: number): void {
  noteReport(progress, { logEnd: leader.context.log.end, nowMs });
  maybeAdvance(leader);
  considerIsr(leader, nowMs, progress);
}

function hear(leader: LeaderState, nowMs: number): void {
  leader.heard.followerMs = nowMs;
  if (!leader.fencedItself) return;
  leader.fencedItself = false;
  leader.context.out.trace.push({ kind: "servesAgain" });
}

function refuseReplica(
  leader: LeaderState,
  input: ReplicaFetchInput | StandingFetchInput,
  reason: ReplicaRefusal,
): void {
  const { replica, session, leaderEpoch } = input.fetch;
  const { answer, trace } = leader.context.out;
  answer.push({ kind: "replicaRefused", requestId: input.requestId, replica, session, leaderEpoch, reason });
  trace.push({ kind: "fetchRefused", replica, reason });
}
