/** What a leader says to those who asked. Deciding is done elsewhere. */
import type { Offset } from "@tidemark/ids";
import { noHint } from "./context.ts";
import type { LeaderState } from "./leader-state.ts";
import type { Refusal, RefusalReason, RequestId } from "./outputs.ts";
import type { PendingAck } from "./pending-acks.ts";
import type { PendingReplicaFetch } from "./pending-fetches.ts";
import type { ReplicaRefusal } from "./replica-messages.ts";

export function answerProduced(leader: LeaderState, ack: Omit<PendingAck, "deadlineMs">): void {
  const { requestId, baseOffset, endOffset } = ack;
  if (ack.isApplied === true) {
    refuse(leader, requestId, { reason: "DUPLICATE_SEQUENCE", outcome: "APPLIED" });
    return;
  }
  const { answer, trace } = leader.context.out;
  answer.push({ kind: "produced", requestId, baseOffset, endOffset, leaderEpoch: leader.leaderEpoch });
  trace.push({ kind: "acked", baseOffset, endOffset });
}

/** Reads [fetch.offset, upTo); nothing when they are equal. */
export function answerRead(
  leader: LeaderState,
  fetch: { readonly requestId: RequestId; readonly offset: Offset },
  upTo: Offset,
): void {
  const { log, highWatermark, out } = leader.context;
  out.answer.push({
    kind: "consumerRead",
    requestId: fetch.requestId,
    from: fetch.offset,
    upTo,
    highWatermark,
    logStart: log.start,
    leaderEpoch: leader.leaderEpoch,
  });
}

/** Ends a produce that was appended and whose fate is open (R12). */
function answerUnknown(leader: LeaderState, ack: PendingAck, reason: RefusalReason): void {
  const { requestId, baseOffset, endOffset } = ack;
  const range = ack.isApplied === true ? {} : { range: { baseOffset, endOffset } };
  refuse(leader, requestId, { reason, outcome: "UNKNOWN", ...range });
  leader.context.out.trace.push({ kind: "produceUnknown", baseOffset, endOffset, reason });
}

/**
 * Refuses a client. The hint names who leads by the newest metadata: this broker, until its leadership ended. Nobody
 * where this broker itself doubts that it leads.
 */
export function refuse(leader: LeaderState, requestId: RequestId, refusal: Omit<Refusal, "hint">): void {
  const hint = leader.fencedItself ? noHint(leader.leaderEpoch) : leader.hint;
  leader.context.out.answer.push({ kind: "refused", requestId, refusal: { ...refusal, hint } });
}

/** Ends every acks=all that waits. */
export function endAcksOfAll(leader: LeaderState, reason: RefusalReason): void {
  for (const ack of leader.acksOfAll.takeAll()) answerUnknown(leader, ack, reason);
}

/** Ends every ack that waits: leadership is over, or in doubt. */
export function endAcks(leader: LeaderState, reason: RefusalReason): void {
  endAcksOfAll(leader, reason);
  for (const ack of leader.acksOfLeader.takeAll()) answerUnknown(leader, ack, reason);
}

/** Ends what is past its deadline: the records are in the log and may be committed yet. */
export function expireAcks(leader: LeaderState, nowMs: number): void {
  for (const ack of leader.acksOfAll.takeExpired(nowMs)) answerUnknown(leader, ack, "REQUEST_TIMED_OUT");
  for (const ack of leader.acksOfLeader.takeExpired(nowMs)) answerUnknown(leader, ack, "REQUEST_TIMED_OUT");
}

/** Sends [fetch.offset, log end) to a follower: committed or not, replicas see everything (R3). */
export function answerReplicaRead(leader: LeaderState, fetch: PendingReplicaFetch): void {
  answerReplica(leader, fetch, { from: fetch.offset, upTo: leader.context.log.end });
}

/** A fetch that waited in vain still brings the high watermark and the log start. */
export function answerEmpty(leader: LeaderState, fetch: PendingReplicaFetch): void {
  answerReplica(leader, fetch, { from: fetch.offset, upTo: fetch.offset });
}

/** Ends the fetches that wait: leadership is over. */
export function endReplicaFetches(leader: LeaderState, reason: ReplicaRefusal): void {
  for (const { requestId, replica, session } of leader.followers.takeAll()) {
    const { leaderEpoch } = leader;
    leader.context.out.answer.push({ kind: "replicaRefused", requestId, replica, session, leaderEpoch, reason });
  }
}

function answerReplica(
  leader: LeaderState,
  fetch: PendingReplicaFetch,
  range: { readonly from: Offset; readonly upTo: Offset },
): void {
  const { highWatermark, log, out } = leader.context;
  out.answer.push({
    kind: "replicaRead",
    requestId: fetch.requestId,
    replica: fetch.replica,
    session: fetch.session,
    leaderEpoch: leader.leaderEpoch,
    from: range.from,
    upTo: range.upTo,
    highWatermark,
    logStart: log.start,
  });
}
