/** A leader takes batches and answers for them (R4, R11, R12). */
import type { Offset } from "@tidemark/ids";
import type { ProduceInput, RepeatInput } from "./inputs.ts";
import { noteAppend } from "./isr-lag.ts";
import { answerProduced, answerReplicaRead, refuse } from "./leader-answers.ts";
import { type LeaderState, maybeAdvance, maybeSettle, noteReporter } from "./leader-state.ts";
import type { RefusalReason } from "./outputs.ts";

/** Checks, appends, and answers at once or later. A refusal comes before anything was appended. */
export function produce(leader: LeaderState, input: ProduceInput): void {
  const { log, out } = leader.context;
  const reason = reasonToRefuse(leader, input);
  if (reason !== undefined) {
    refuse(leader, input.requestId, { reason, outcome: "NOT_APPLIED" });
    out.trace.push({ kind: "produceRefused", reason });
    return;
  }
  const baseOffset = log.end;
  const endOffset = (baseOffset + BigInt(input.recordCount)) as Offset;
  const { leaderEpoch } = leader;
  log.end = endOffset;
  // False, as the epoch's start is there already, unless that guard is off.
  log.epochs.assign(leaderEpoch, baseOffset);
  out.persist.push({ kind: "appendAsLeader", requestId: input.requestId, baseOffset, endOffset, leaderEpoch });
  out.trace.push({ kind: "appended", baseOffset, endOffset });
  const leaderEnd = { logEnd: endOffset, nowMs: input.nowMs };
  for (const progress of leader.context.progress.values()) noteAppend(progress, baseOffset, leaderEnd);
  leader.own.verified = endOffset;
  wait(leader, { ...input, baseOffset, endOffset });
  for (const fetch of leader.followers.takeBelow(endOffset)) answerReplicaRead(leader, fetch);
  if (!leader.context.guards.ackAfterFlush) countOwnLog(leader, endOffset);
}

/** A batch that the log holds already is answered as the original would be, also below min ISR (R11). */
export function repeat(leader: LeaderState, input: RepeatInput): void {
  if (leader.fencedItself) {
    refuse(leader, input.requestId, { reason: "LEADER_FENCED_ITSELF", outcome: "UNKNOWN" });
    return;
  }
  wait(leader, input);
}

/** The log took nothing at or above its end: whoever waits for that is told. What was taken in part is of unknown fate. */
export function leaderTookBack(leader: LeaderState): void {
  const { end } = leader.context.log;
  leader.own.verified = end;
  for (const acks of [leader.acksOfAll, leader.acksOfLeader]) {
    for (const { requestId, baseOffset, endOffset } of acks.takeAbove(end)) {
      const outcome = baseOffset < end ? "UNKNOWN" : "NOT_APPLIED";
      const range = { baseOffset, endOffset };
      refuse(leader, requestId, { reason: "APPEND_REFUSED", outcome, ...(outcome === "UNKNOWN" && { range }) });
    }
  }
}

/** The leader's own flush reached `log.flushed`. */
export function ownFlush(leader: LeaderState): void {
  countOwnLog(leader, leader.context.log.flushed);
}

function countOwnLog(leader: LeaderState, upTo: Offset): void {
  if (leader.own.flushed !== undefined && upTo <= leader.own.flushed) return;
  leader.own.flushed = upTo;
  noteReporter(leader, leader.own);
  for (const ack of leader.acksOfLeader.takeUpTo(upTo)) answerProduced(leader, ack);
  maybeAdvance(leader);
  maybeSettle(leader);
}

/** The order of the checks is the order of the reasons in ProduceRefusals of the API: who leads, then how many follow. */
function reasonToRefuse(leader: LeaderState, input: ProduceInput): RefusalReason | undefined {
  if (leader.fencedItself) return "LEADER_FENCED_ITSELF";
  if (input.seenLeaderEpoch !== undefined && input.seenLeaderEpoch > leader.leaderEpoch) return "UNKNOWN_LEADER_EPOCH";
  const { guards } = leader.context;
  if (guards.minIsr && input.acks === "all" && leader.state.isr.length < leader.state.minIsr)
    return "NOT_ENOUGH_REPLICAS";
  return undefined;
}

type Appended = RepeatInput | (ProduceInput & { readonly baseOffset: Offset; readonly endOffset: Offset });

function wait(leader: LeaderState, batch: Appended): void {
  const { context } = leader;
  switch (batch.acks) {
    case "none":
      answerProduced(leader, batch);
      break;
    case "leader":
      if (batch.endOffset <= context.log.flushed) answerProduced(leader, batch);
      else leader.acksOfLeader.add(ackOf(batch));
      break;
    case "all":
      if (batch.endOffset <= context.highWatermark) answerProduced(leader, batch);
      else leader.acksOfAll.add(ackOf(batch));
      break;
  }
}

function ackOf({ requestId, baseOffset, endOffset, deadlineMs }: Appended) {
  return { requestId, baseOffset, endOffset, deadlineMs };
}
