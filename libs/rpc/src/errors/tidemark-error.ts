import type { status } from "@grpc/grpc-js";
import { Outcome, type Reason } from "@tidemark/proto/common/v1";
import { traitsOf } from "./reason-table.ts";

/** What an error may tell beside its reason, each where it applies. */
export interface ErrorFields {
  /** The leader that the answering process knows. `endpoint` is host:port of its `client` listener. */
  readonly leader?: { readonly broker: number; readonly endpoint: string; readonly leaderEpoch: number };
  /** The active controller that the answering process knows. */
  readonly controller?: { readonly id: number; readonly endpoint: string; readonly controllerEpoch: number };
  /** First offset that is not known to be committed. */
  readonly highWatermark?: bigint;
  /** Broker ids of the in-sync replicas. An empty list is the same as none given. */
  readonly isr?: readonly number[];
  /** Min ISR in force. */
  readonly minIsr?: number;
  /** First offset that exists. */
  readonly logStart?: bigint;
  /** The offset that the next record will get. */
  readonly logEnd?: bigint;
  /** Last leader epoch that both logs have, and the first offset at which they differ. */
  readonly divergence?: { readonly leaderEpoch: number; readonly offset: bigint };
  /** How long to wait before the next try, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly topic?: string;
  readonly partition?: number;
  /** First offset of what was appended, where the outcome of an append is unknown. */
  readonly baseOffset?: bigint;
}

export interface TidemarkErrorInit extends ErrorFields {
  readonly reason: Reason;
  /** A sentence for people: what is wrong and the way out. It reaches the client as it is. Never empty. */
  readonly message: string;
  /** Absent: what the table says of the reason. */
  readonly outcome?: Outcome;
  /** Absent: what the table says of the reason. */
  readonly retriable?: boolean;
  /** What led to it. Stays in this process. */
  readonly cause?: unknown;
  /** Absent: what the table says of the reason. Only for protocols of others that demand a status. */
  readonly grpcStatus?: status;
}

/** The one error that crosses an API edge: a reason of the closed set, and what is known of the call's effect. */
export class TidemarkError extends Error {
  override readonly name = "TidemarkError";
  readonly reason: Reason;
  /** Never OUTCOME_UNSPECIFIED. */
  readonly outcome: Outcome;
  /** Whether the same call, unchanged, may succeed later or elsewhere. */
  readonly retriable: boolean;
  /** The gRPC status that a call ends with for this error. */
  readonly grpcStatus: status;
  readonly fields: ErrorFields;

  constructor(init: TidemarkErrorInit) {
    const { reason, message, outcome, retriable, cause, grpcStatus, ...fields } = init;
    super(message, cause === undefined ? undefined : { cause });
    const traits = traitsOf(reason);
    this.reason = reason;
    this.outcome = outcome === undefined || outcome === Outcome.UNSPECIFIED ? traits.outcome : outcome;
    this.retriable = retriable ?? traits.retriable;
    this.grpcStatus = grpcStatus ?? traits.status;
    this.fields = fields;
  }
}

/**
 * The same error with another outcome: for whoever retries, since an outcome speaks of one attempt (P12) and the whole
 * is unknown if any attempt was.
 */
export function withOutcome(error: TidemarkError, outcome: Outcome): TidemarkError {
  return new TidemarkError({
    reason: error.reason,
    message: error.message,
    outcome,
    retriable: error.retriable,
    cause: error.cause,
    grpcStatus: error.grpcStatus,
    ...error.fields,
  });
}
