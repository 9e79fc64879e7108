/** What a machine refuses, as a caller is told it: with the way out, and with who leads where that is known. */
import type { BrokerId } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { LeaderHint, Refusal } from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import { fromLogError } from "../errors.ts";
import { batchName, type ProducerReason, producerError } from "./producer-error.ts";
import type { PartitionPlace, ReplicaState, Waiting } from "./replica-state.ts";

/** A broker that leads, as clients reach it. */
export interface HintedLeader {
  readonly broker: number;
  /** host:port of its `client` listener. */
  readonly endpoint: string;
}

export interface NotLed {
  readonly topic: string;
  readonly index: number;
  readonly hint: LeaderHint;
  readonly outcome: Outcome;
  readonly leaderOf: (broker: BrokerId) => HintedLeader | undefined;
}

/** Another broker leads, or nobody does. */
export function notLeader({ topic, index, hint, outcome, leaderOf }: NotLed): TidemarkError {
  const where = { topic, partition: index, outcome };
  const name = `${topic}-${index}`;
  if (hint.leader === undefined) {
    return new TidemarkError({
      ...where,
      reason: Reason.LEADER_NOT_AVAILABLE,
      message: `Partition ${name} has no leader now; it gets one when an eligible replica is back`,
    });
  }
  const leader = leaderOf(hint.leader);
  return new TidemarkError({
    ...where,
    reason: Reason.NOT_LEADER,
    message: `Broker ${hint.leader} leads ${name}`,
    ...(leader === undefined ? {} : { leader: { ...leader, leaderEpoch: hint.leaderEpoch } }),
  });
}

/** The replica was closed, or broke an invariant: whoever leads next has the partition. */
export function outOfService({ topic, index }: PartitionPlace): TidemarkError {
  return new TidemarkError({
    reason: Reason.LEADER_NOT_AVAILABLE,
    message: `Partition ${topic}-${index} is not served here any more; retry in a moment`,
    topic,
    partition: index,
  });
}

const outcomes: Readonly<Record<Refusal["outcome"], Outcome>> = {
  NOT_APPLIED: Outcome.NOT_APPLIED,
  UNKNOWN: Outcome.UNKNOWN,
  APPLIED: Outcome.APPLIED,
};

/** The error of a refusal. Each reason has one text and one reason of the API. */
export function refusalError(refusal: Refusal, replica: ReplicaState, waiting: Waiting): TidemarkError {
  const { place, shared, refusedBy } = replica;
  const { topic, index } = place;
  const outcome = outcomes[refusal.outcome];
  const baseOffset = refusal.range === undefined ? {} : { baseOffset: refusal.range.baseOffset };
  const where = { topic, partition: index, outcome, ...baseOffset };
  const name = `${topic}-${index}`;
  switch (refusal.reason) {
    case "NOT_LEADER": {
      // A broker that resigned waits for a newer leader epoch; to be sent back to it helps nobody.
      const hint = refusal.hint.leader === shared.self ? { ...refusal.hint, leader: undefined } : refusal.hint;
      const error = notLeader({ topic, index, hint, outcome, leaderOf: shared.leaderOf });
      return refusal.range === undefined ? error : withOffset(error, refusal.range.baseOffset);
    }
    case "LEADER_FENCED_ITSELF":
      return new TidemarkError({
        ...where,
        reason: Reason.LEADER_NOT_AVAILABLE,
        message: `Broker ${shared.self} has heard neither the controller nor a follower of ${name} for a session timeout: another broker may lead it by now`,
      });
    case "REPLICA_OFFLINE":
      return new TidemarkError({
        ...where,
        reason: Reason.LOG_DIRECTORY_FAILED,
        message: `The log of ${name} on broker ${shared.self} is out of service`,
      });
    case "METADATA_REGRESSED":
      return metadataRegressed(where);
    case "APPEND_REFUSED":
      return fromLogError(refusedBy, { topic, partition: index }, outcome);
    case "REQUEST_TIMED_OUT":
      return new TidemarkError({
        ...where,
        reason: Reason.DEADLINE_EXCEEDED,
        message:
          refusal.range === undefined
            ? `The controller did not confirm in time that broker ${shared.self} leads ${name}`
            : `Appended to ${name} and not acknowledged in time: whether it will be committed is not known`,
      });
    case "PRODUCERS_NOT_CURRENT":
    case "OUT_OF_ORDER_SEQUENCE":
    case "UNKNOWN_PRODUCER":
    case "PRODUCER_ID_NOT_GIVEN":
    case "TOO_MANY_PRODUCERS":
    case "FENCED_PRODUCER":
    case "DUPLICATE_SEQUENCE":
      return producerError(refusal.reason, batchName(waiting), { ...where, name });
    default:
      return stateError({ ...refusal, reason: refusal.reason }, replica, {
        ...where,
        ...(waiting.kind === "read" && { offset: waiting.offset }),
      });
  }
}

/** What replicas hold goes beyond the metadata: whoever were elected might cut committed records. */
export function metadataRegressed(where: Where): TidemarkError {
  const { topic, partition } = where;
  return new TidemarkError({
    ...where,
    reason: Reason.METADATA_REGRESSED,
    message: `The metadata of ${topic}-${partition} are older than what its replicas hold: nothing is served until \`tidemark partition elect --election-type unclean --topic ${topic} --partition ${partition}\` decides whose records stay`,
  });
}

type Where = {
  readonly topic: string;
  readonly partition: number;
  readonly outcome: Outcome;
  readonly baseOffset?: bigint;
  /** That a read asked for. */
  readonly offset?: bigint;
};

type StateReason = Exclude<
  Refusal["reason"],
  | "NOT_LEADER"
  | "LEADER_FENCED_ITSELF"
  | "REPLICA_OFFLINE"
  | "METADATA_REGRESSED"
  | "APPEND_REFUSED"
  | "REQUEST_TIMED_OUT"
  | ProducerReason
>;

/** Refusals that are explained by how the partition stands. */
function stateError(refusal: Refusal & { readonly reason: StateReason }, replica: ReplicaState, at: Where) {
  const { offset, ...where } = at;
  const { shared, log } = replica;
  const name = `${where.topic}-${where.partition}`;
  const { state, highWatermark } = replica.machine.view(shared.clock.monotonicMs());
  const inSync = { isr: state?.isr ?? [], ...(state === undefined ? {} : { minIsr: state.minIsr }) };
  const members = `${inSync.isr.length} in-sync replicas (${inSync.isr.join(", ")})`;
  switch (refusal.reason) {
    case "NOT_ENOUGH_REPLICAS":
      return new TidemarkError({
        ...where,
        ...inSync,
        reason: Reason.NOT_ENOUGH_REPLICAS,
        message: `${name} has ${members}, and the min ISR is ${inSync.minIsr ?? 1}: nothing was appended; retry in a moment`,
      });
    case "NOT_ENOUGH_REPLICAS_AFTER_APPEND":
      return new TidemarkError({
        ...where,
        ...inSync,
        reason: Reason.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        message: `${name} fell to ${members} after the append, and the min ISR is ${inSync.minIsr ?? 1}: whether it will be committed is not known`,
      });
    case "UNKNOWN_LEADER_EPOCH":
      return new TidemarkError({
        ...where,
        reason: Reason.UNKNOWN_LEADER_EPOCH,
        message: `Broker ${shared.self} knows ${name} up to leader epoch ${refusal.hint.leaderEpoch}, and the caller has seen a newer one`,
      });
    case "OFFSET_NOT_AVAILABLE":
      return new TidemarkError({
        ...where,
        highWatermark,
        reason: Reason.OFFSET_NOT_AVAILABLE,
        message: `The new leader of ${name} does not know yet up to where it is committed; retry in a moment`,
      });
    case "OFFSET_OUT_OF_RANGE":
      return new TidemarkError({
        ...where,
        reason: Reason.OFFSET_OUT_OF_RANGE,
        message: `Offset ${offset ?? 0n} of ${name} does not exist: the log has ${log.logStartOffset} to ${log.logEndOffset}, readable below ${highWatermark}`,
        logStart: log.logStartOffset,
        logEnd: log.logEndOffset,
        highWatermark,
      });
    case "LOG_TRUNCATED":
      return new TidemarkError({
        ...where,
        reason: Reason.LOG_TRUNCATED,
        message: `What was read of ${name} below offset ${offset ?? 0n} was cut from the log; the two agree up to ${refusal.divergence?.endOffset ?? 0n}`,
        ...(refusal.divergence && {
          divergence: { leaderEpoch: refusal.divergence.leaderEpoch, offset: refusal.divergence.endOffset },
        }),
      });
  }
}

function withOffset(error: TidemarkError, baseOffset: bigint): TidemarkError {
  const { reason, message, outcome, retriable, fields } = error;
  return new TidemarkError({ reason, message, outcome, retriable, ...fields, baseOffset });
}
