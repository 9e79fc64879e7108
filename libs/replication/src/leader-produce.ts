/** A leader takes batches and answers for them (R4, R11, R12). */
import type { Offset } from "@tidemark/ids";
import type { ProduceInput } from "./inputs.ts";
import { noteAppend } from "./isr-lag.ts";
import { answerProduced, answerReplicaRead, refuse } from "./leader-answers.ts";
import { type LeaderState, maybeAdvance, maybeSettle, noteReporter } from "./leader-state.ts";
import type { RefusalReason } from "./outputs.ts";
import type { PendingAck } from "./pending-acks.ts";
import type { ProducerVerdict } from "./producers/producer-table.ts";

/**
 * Checks, appends, and answers at once or later. A refusal comes before anything was appended. What a producer sent
 * again and the log holds is not appended: it is answered as the original is, also below min ISR (R11).
 */
export function produce(leader: LeaderState, input: ProduceInput): void {
  const { guards } = leader.context;
  const cannotAppend = reasonNotToAppend(leader, input);
  const reason = reasonNotToServe(leader, input) ?? (guards.repeatBeforeMinIsr ? undefined : cannotAppend);
  const verdict = reason === undefined ? verdictOn(leader, input) : refusedFor(reason);
  switch (verdict.kind) {
    case "append":
      if (cannotAppend === undefined) append(leader, input);
      else refuseProduce(leader, input, cannotAppend);
      return;
    case "repeat":
      repeat(leader, input, verdict);
      return;
    case "applied":
      wait(leader, { ...input, baseOffset: leader.context.log.start, endOffset: verdict.endOffset, isApplied: true });
      return;
    case "refuse":
      refuseProduce(leader, input, verdict.reason);
      return;
  }
}

function append(leader: LeaderState, input: ProduceInput): void {
  const { log, out } = leader.context;
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

function repeat(leader: LeaderState, input: ProduceInput, of: { baseOffset: Offset; endOffset: Offset }): void {
  const { baseOffset, endOffset } = of;
  const { guards, out } = leader.context;
  out.trace.push({ kind: "repeated", baseOffset, endOffset });
  if (guards.repeatAfterCommit) wait(leader, { ...input, baseOffset, endOffset });
  else answerProduced(leader, { requestId: input.requestId, baseOffset, endOffset });
}

function refuseProduce(leader: LeaderState, { requestId }: ProduceInput, reason: RefusalReason): void {
  refuse(leader, requestId, { reason, outcome: "NOT_APPLIED" });
  leader.context.out.trace.push({ kind: "produceRefused", reason });
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

type Verdict = ProducerVerdict | { readonly kind: "refuse"; readonly reason: RefusalReason };

/** Only a log that holds all that was ordered can tell what it holds. */
function verdictOn({ context }: LeaderState, { producer }: ProduceInput): Verdict {
  if (producer === undefined) return { kind: "append" };
  return context.producers.isCurrent ? context.producers.check(producer) : refusedFor("PRODUCERS_NOT_CURRENT");
}

function refusedFor(reason: RefusalReason): Verdict {
  return { kind: "refuse", reason };
}

/** Who leads comes first: nobody else can tell what the log holds. */
function reasonNotToServe(leader: LeaderState, input: ProduceInput): RefusalReason | undefined {
  if (leader.fencedItself) return "LEADER_FENCED_ITSELF";
  const isNewer = input.seenLeaderEpoch !== undefined && input.seenLeaderEpoch > leader.leaderEpoch;
  return isNewer ? "UNKNOWN_LEADER_EPOCH" : undefined;
}

/** How many follow comes last. */
function reasonNotToAppend({ context, state }: LeaderState, input: ProduceInput): RefusalReason | undefined {
  const isBelow = context.guards.minIsr && input.acks === "all" && state.isr.length < state.minIsr;
  return isBelow ? "NOT_ENOUGH_REPLICAS" : undefined;
}

type Appended = PendingAck & Pick<ProduceInput, "acks">;

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

function ackOf({ requestId, baseOffset, endOffset, deadlineMs, isApplied = false }: Appended): PendingAck {
  return { requestId, baseOffset, endOffset, deadlineMs, isApplied };
}
