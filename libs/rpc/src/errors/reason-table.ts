import { status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";

/** What goes with a reason unless the code that fails knows better. */
export interface ReasonTraits {
  /** The gRPC status of a call that fails for this reason. */
  readonly status: status;
  /** Whether the same call, unchanged, may succeed later or elsewhere. */
  readonly retriable: boolean;
  /** What is known of the effect. Never OUTCOME_UNSPECIFIED. */
  readonly outcome: Outcome;
}

const refused = (code: status): ReasonTraits => ({ status: code, retriable: false, outcome: Outcome.NOT_APPLIED });
const refusedForNow = (code: status): ReasonTraits => ({ status: code, retriable: true, outcome: Outcome.NOT_APPLIED });
const unknown = (code: status, retriable: boolean): ReasonTraits => ({
  status: code,
  retriable,
  outcome: Outcome.UNKNOWN,
});

/** The one table from reasons to statuses: docs/errors.md is made from it. A reason that is missing does not compile. */
const reasonTable: Readonly<Record<Reason, ReasonTraits>> = {
  [Reason.UNSPECIFIED]: unknown(status.UNKNOWN, false),
  [Reason.INVALID_ARGUMENT]: refused(status.INVALID_ARGUMENT),
  [Reason.UNKNOWN_TOPIC]: refusedForNow(status.NOT_FOUND),
  [Reason.TOPIC_EXISTS]: refused(status.ALREADY_EXISTS),
  [Reason.INVALID_TOPIC_NAME]: refused(status.INVALID_ARGUMENT),
  [Reason.UNKNOWN_PARTITION]: refused(status.NOT_FOUND),
  [Reason.INVALID_REPLICATION_FACTOR]: refused(status.INVALID_ARGUMENT),
  [Reason.INVALID_CONFIG]: refused(status.INVALID_ARGUMENT),
  [Reason.MESSAGE_TOO_LARGE]: refused(status.INVALID_ARGUMENT),
  [Reason.CORRUPT_BATCH]: refused(status.INVALID_ARGUMENT),
  [Reason.UNSUPPORTED_CODEC]: refused(status.INVALID_ARGUMENT),
  [Reason.INVALID_RECORD]: refused(status.INVALID_ARGUMENT),
  [Reason.UNSUPPORTED]: refused(status.UNIMPLEMENTED),
  [Reason.NOT_LEADER]: refusedForNow(status.FAILED_PRECONDITION),
  [Reason.LEADER_NOT_AVAILABLE]: refusedForNow(status.UNAVAILABLE),
  [Reason.FENCED_LEADER_EPOCH]: refusedForNow(status.FAILED_PRECONDITION),
  [Reason.UNKNOWN_LEADER_EPOCH]: refusedForNow(status.FAILED_PRECONDITION),
  [Reason.NOT_ENOUGH_REPLICAS]: refusedForNow(status.UNAVAILABLE),
  [Reason.NOT_ENOUGH_REPLICAS_AFTER_APPEND]: unknown(status.UNAVAILABLE, true),
  [Reason.OFFSET_OUT_OF_RANGE]: refused(status.OUT_OF_RANGE),
  [Reason.OFFSET_NOT_AVAILABLE]: refusedForNow(status.UNAVAILABLE),
  [Reason.LOG_TRUNCATED]: refused(status.DATA_LOSS),
  [Reason.NOT_CONTROLLER]: refusedForNow(status.FAILED_PRECONDITION),
  [Reason.STALE_CONTROLLER_EPOCH]: refusedForNow(status.FAILED_PRECONDITION),
  [Reason.STALE_BROKER_EPOCH]: refused(status.FAILED_PRECONDITION),
  [Reason.DUPLICATE_BROKER_ID]: refused(status.ALREADY_EXISTS),
  [Reason.BROKER_NOT_REGISTERED]: refused(status.FAILED_PRECONDITION),
  [Reason.INELIGIBLE_REPLICA]: refused(status.FAILED_PRECONDITION),
  [Reason.NOT_ATTEMPTED]: refusedForNow(status.ABORTED),
  [Reason.INVALID_PARTITION_EPOCH]: refused(status.FAILED_PRECONDITION),
  [Reason.UNKNOWN_TOPIC_ID]: refusedForNow(status.NOT_FOUND),
  [Reason.CLUSTER_ID_MISMATCH]: refused(status.FAILED_PRECONDITION),
  [Reason.METADATA_SEALED]: refused(status.FAILED_PRECONDITION),
  [Reason.METADATA_REGRESSED]: refused(status.DATA_LOSS),
  [Reason.MEMBERS_NOT_MANAGED_HERE]: refused(status.UNIMPLEMENTED),
  [Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE]: refusedForNow(status.UNAVAILABLE),
  [Reason.PREFERRED_LEADER_NOT_AVAILABLE]: refusedForNow(status.UNAVAILABLE),
  [Reason.ELECTION_NOT_NEEDED]: refused(status.ALREADY_EXISTS),
  [Reason.UNCLEAN_ELECTION_NOT_ALLOWED]: refused(status.FAILED_PRECONDITION),
  [Reason.OUT_OF_ORDER_SEQUENCE]: refused(status.FAILED_PRECONDITION),
  [Reason.DUPLICATE_SEQUENCE]: { status: status.ALREADY_EXISTS, retriable: false, outcome: Outcome.APPLIED },
  [Reason.UNKNOWN_PRODUCER]: refused(status.FAILED_PRECONDITION),
  [Reason.FENCED_PRODUCER]: refused(status.FAILED_PRECONDITION),
  [Reason.DISK_FULL]: refusedForNow(status.RESOURCE_EXHAUSTED),
  [Reason.LOG_DIRECTORY_FAILED]: unknown(status.UNAVAILABLE, true),
  [Reason.RESOURCE_EXHAUSTED]: refusedForNow(status.RESOURCE_EXHAUSTED),
  [Reason.SHUTTING_DOWN]: refusedForNow(status.UNAVAILABLE),
  [Reason.DEADLINE_EXCEEDED]: unknown(status.DEADLINE_EXCEEDED, true),
  [Reason.UNAVAILABLE]: unknown(status.UNAVAILABLE, true),
  [Reason.INTERNAL]: unknown(status.INTERNAL, false),
  [Reason.UNAUTHENTICATED]: refused(status.UNAUTHENTICATED),
  [Reason.PERMISSION_DENIED]: refused(status.PERMISSION_DENIED),
  [Reason.CANCELLED]: unknown(status.CANCELLED, false),
  [Reason.METADATA_OUTCOME_UNKNOWN]: unknown(status.UNAVAILABLE, true),
  [Reason.METADATA_NO_SPACE]: refusedForNow(status.RESOURCE_EXHAUSTED),
  [Reason.NO_LIVING_MAJORITY]: refused(status.FAILED_PRECONDITION),
};

/** What goes with a reason. A number that this version does not know gets what goes with REASON_UNSPECIFIED. */
export function traitsOf(reason: Reason): ReasonTraits {
  return (reasonTable as Readonly<Record<number, ReasonTraits>>)[reason] ?? reasonTable[Reason.UNSPECIFIED];
}
