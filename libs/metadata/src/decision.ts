import type { PartitionIndex } from "@tidemark/ids";
import type { Reason } from "@tidemark/proto/common/v1";
import type { MetadataChange } from "./change.ts";
import type { MetadataEvent } from "./events.ts";

/** Why a decision was refused. Nothing was changed. */
export interface Refusal {
  readonly reason: Reason;
  /** For people: what is wrong with which value, and the way out. */
  readonly message: string;
  readonly topic?: string;
  readonly partition?: PartitionIndex;
}

/**
 * What a pure decision comes to: changes to commit in this order, what happened once they are committed, and the
 * answer. No changes: the answer stands as it is.
 */
export type Decision<Answer> =
  | {
      readonly kind: "decided";
      readonly changes: readonly MetadataChange[];
      readonly events: readonly MetadataEvent[];
      readonly answer: Answer;
    }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** A whole number in [0, limit), each as likely as the others. `limit` is at least 1. */
export type Draw = (limit: number) => number;

export function decided<Answer>(
  answer: Answer,
  changes: readonly MetadataChange[] = [],
  events: readonly MetadataEvent[] = [],
): Decision<Answer> {
  return { kind: "decided", changes, events, answer };
}

export function refused(
  reason: Reason,
  message: string,
  about: Omit<Refusal, "reason" | "message"> = {},
): { readonly kind: "refused"; readonly refusal: Refusal } {
  return { kind: "refused", refusal: { reason, message, ...about } };
}
