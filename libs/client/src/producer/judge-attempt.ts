import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Random } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";

/**
 * What follows from a failed attempt to send a batch.
 *
 * | kind         | what is done                                                                                       |
 * |--------------|----------------------------------------------------------------------------------------------------|
 * | acknowledged | it is stored: an earlier attempt did it                                                            |
 * | again        | sent again after `waitMs`                                                                          |
 * | split        | refused for its size as a whole, though its records may be small enough: sent again in halves      |
 * | raiseEpoch   | the leader cannot go on from the producer's last batch: what is not in doubt goes under another one |
 * | failed       | the end; the error's outcome counts all attempts (P12)                                             |
 */
export type Verdict =
  | { readonly kind: "acknowledged"; readonly baseOffset: bigint | undefined }
  | { readonly kind: "again"; readonly waitMs: number; readonly error: TidemarkError }
  | { readonly kind: "split" }
  | { readonly kind: "raiseEpoch"; readonly waitMs: number; readonly isFenced: boolean }
  | { readonly kind: "failed"; readonly error: TidemarkError };

/** The batch as far as its attempts go. */
export interface Attempted {
  readonly records: number;
  /** Whether no earlier batch of the partition is left. */
  readonly isFirst: boolean;
  /** Attempts that failed, this one among them. */
  readonly failures: number;
  /** Whether any attempt ended without an outcome, this one among them. */
  readonly isUnknown: boolean;
  /** Milliseconds since its first record was given. */
  readonly ageMs: number;
  readonly deliveryTimeoutMs: number;
}

/** A topic is not known everywhere at the moment it is made; one that was deleted never comes back. In milliseconds. */
const unknownTopicTimeoutMs = 10_000;
const unknownTopic: ReadonlySet<Reason> = new Set([Reason.UNKNOWN_TOPIC, Reason.UNKNOWN_TOPIC_ID]);

/** What a leader says where a batch does not go on from what it has of the producer. */
const breaksSequence: ReadonlySet<Reason> = new Set([
  Reason.OUT_OF_ORDER_SEQUENCE,
  Reason.UNKNOWN_PRODUCER,
  Reason.FENCED_PRODUCER,
]);

/**
 * What is unknown is sent again too: without a producer id it may then stand twice.
 *
 * A batch that does not follow while an earlier one is left ran ahead of that one, and waits for it. The first one that
 * is left shows that what came before it is not there: it was given up, or an unclean election took it.
 */
export function judgeAttempt(error: TidemarkError, attempted: Attempted, random: Random): Verdict {
  const { records, failures, ageMs, deliveryTimeoutMs } = attempted;
  if (error.outcome === Outcome.APPLIED) return { kind: "acknowledged", baseOffset: error.fields.baseOffset };
  if (error.reason === Reason.MESSAGE_TOO_LARGE && records > 1) return { kind: "split" };
  const isBroken = breaksSequence.has(error.reason);
  const mayBeSentAgain = isBroken || error.retriable || error.outcome === Outcome.UNKNOWN;
  const waitMs = Math.max(backoffMs(failures, random), error.fields.retryAfterMs ?? 0);
  const patienceMs = unknownTopic.has(error.reason)
    ? Math.min(deliveryTimeoutMs, unknownTopicTimeoutMs)
    : deliveryTimeoutMs;
  if (mayBeSentAgain && ageMs + waitMs < patienceMs) {
    const isFenced = error.reason === Reason.FENCED_PRODUCER;
    return isBroken && attempted.isFirst ? { kind: "raiseEpoch", waitMs, isFenced } : { kind: "again", waitMs, error };
  }
  return { kind: "failed", error: endOf(error, attempted) };
}

/** The error of the whole: unknown if any attempt was. */
export function endOf(error: TidemarkError, { isUnknown }: Pick<Attempted, "isUnknown">): TidemarkError {
  return withOutcome(error, isUnknown ? Outcome.UNKNOWN : Outcome.NOT_APPLIED);
}

/** For a batch whose time was over before it was sent. */
export function expired(deliveryTimeoutMs: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message: `Not sent within ${deliveryTimeoutMs} ms: earlier records of the partition were not settled before`,
    outcome: Outcome.NOT_APPLIED,
  });
}

/** A defect on the way says nothing of what became of the batch. */
export function asTidemarkError(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  return new TidemarkError({
    reason: Reason.INTERNAL,
    message: "The batch could not be sent",
    outcome: Outcome.UNKNOWN,
    retriable: false,
    cause: error,
  });
}
