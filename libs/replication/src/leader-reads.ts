/** A leader answers consumers (R1, R3, R14, P9). */
import type { ConfirmableRead } from "./confirmed-reads.ts";
import { decideRead } from "./consumer-reads.ts";
import { noHint } from "./context.ts";
import type { Confirmation } from "./controller-messages.ts";
import type { ConsumerFetchInput, LatestOffsetInput } from "./inputs.ts";
import { answerRead, refuse } from "./leader-answers.ts";
import { epochStartOf, type LeaderState } from "./leader-state.ts";
import type { RefusalReason, RequestId } from "./outputs.ts";

/** Answers now, waits for the high watermark, or asks the controller first where the read has to be linearizable. */
export function read(leader: LeaderState, input: ConsumerFetchInput | LatestOffsetInput): void {
  if (leader.fencedItself) refuseRead(leader, input.requestId, "LEADER_FENCED_ITSELF");
  else if (input.seenLeaderEpoch !== undefined && input.seenLeaderEpoch > leader.leaderEpoch) {
    refuseRead(leader, input.requestId, "UNKNOWN_LEADER_EPOCH");
  } else if (input.linearizable) leader.confirmed.arrive(input);
  else serve(leader, input, input.nowMs);
}

/** The controller said whether this broker still leads. If it does not, newer metadata is on its way. */
export function leadershipConfirmed(
  leader: LeaderState,
  input: { readonly confirmation: Confirmation; readonly leads: boolean; readonly nowMs: number },
): void {
  // The controller knows of another leader, whom this broker does not know yet.
  if (!input.leads) leader.hint = noHint(leader.leaderEpoch);
  for (const waiting of leader.confirmed.answered(input.confirmation, input.nowMs)) {
    if (input.leads) serve(leader, waiting, input.nowMs);
    else refuseRead(leader, waiting.requestId, "NOT_LEADER");
  }
}

/** Answers reads whose time is over: fetches with nothing, questions to the controller with an error. */
export function expireReads(leader: LeaderState, nowMs: number): void {
  for (const fetch of leader.consumers.takeExpired(nowMs)) answerRead(leader, fetch, fetch.offset);
  if (leader.confirmed.size === 0) return;
  for (const waiting of leader.confirmed.takeWhere((one) => one.deadlineMs <= nowMs)) {
    refuseRead(leader, waiting.requestId, "REQUEST_TIMED_OUT");
  }
  leader.confirmed.retry(nowMs);
}

/** Ends every read that waits: leadership is over, or in doubt. */
export function endReads(leader: LeaderState, reason: RefusalReason): void {
  for (const { requestId } of leader.consumers.takeAll()) refuseRead(leader, requestId, reason);
  for (const { requestId } of leader.confirmed.takeWhere(() => true)) refuseRead(leader, requestId, reason);
}

function serve(leader: LeaderState, input: ConfirmableRead, nowMs: number): void {
  if (input.kind === "latestOffset") serveLatest(leader, input);
  else serveFetch(leader, input, nowMs);
}

function serveLatest(leader: LeaderState, { requestId }: LatestOffsetInput): void {
  const { leaderEpoch, context } = leader;
  if (!leader.settled || leader.state.recovering) refuseRead(leader, requestId, "OFFSET_NOT_AVAILABLE");
  else context.out.answer.push({ kind: "latestOffset", requestId, offset: context.highWatermark, leaderEpoch });
}

function serveFetch(leader: LeaderState, input: ConsumerFetchInput, nowMs: number): void {
  const { context, state } = leader;
  const decision = decideRead(input, {
    log: context.log,
    highWatermark: context.highWatermark,
    epochStart: epochStartOf(leader),
    recovering: state.recovering,
    unsettledWaits: context.guards.unsettledWaits,
  });
  switch (decision.kind) {
    case "read":
      answerRead(leader, input, decision.upTo);
      break;
    case "wait":
      if (input.deadlineMs <= nowMs) answerRead(leader, input, input.offset);
      else leader.consumers.add({ requestId: input.requestId, offset: input.offset, deadlineMs: input.deadlineMs });
      break;
    case "refuse": {
      const { reason, divergence } = decision;
      refuse(leader, input.requestId, { reason, outcome: "NOT_APPLIED", ...(divergence && { divergence }) });
      break;
    }
  }
}

function refuseRead(leader: LeaderState, requestId: RequestId, reason: RefusalReason): void {
  refuse(leader, requestId, { reason, outcome: "NOT_APPLIED" });
}
