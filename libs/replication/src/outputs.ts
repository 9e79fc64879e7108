import type { Branded, BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import type { AlterPartition, Confirmation } from "./controller-messages.ts";
import type { SequenceRefusal } from "./producers/producer-table.ts";
import type { Divergence, FlushGeneration } from "./replica-log.ts";
import type { FetchSession, ReplicaFetch, ReplicaFlushed, ReplicaRefusal } from "./replica-messages.ts";
import type { TraceEvent } from "./trace.ts";

/** Names a request until it is answered or cancelled. Chosen by the driver. */
export type RequestId = Branded<number, "RequestId">;

/** When a produce is answered: at once, when the leader has flushed, when the high watermark passes (R4). */
export type Acks = "none" | "leader" | "all";

/**
 * What one step asks of the driver, in this order: first `persist`, each entry behind the one before it; then `send`;
 * then `answer`. Nothing is sent or answered whose writes were not handed to the log. `trace` tells what happened.
 */
export interface PartitionOutput {
  readonly persist: PersistEffect[];
  readonly send: SendEffect[];
  readonly answer: Answer[];
  readonly trace: TraceEvent[];
}

/** Ordered writes. The log keeps their order, and flushes appends behind them; a cut is flushed before the next append (L9). */
export type PersistEffect =
  /** Durable before any append of this leader epoch (R8, L5). */
  | { readonly kind: "epochStart"; readonly leaderEpoch: LeaderEpoch; readonly startOffset: Offset }
  /** The batch of the produce that is being handled, stamped with base offset and leader epoch. */
  | {
      readonly kind: "appendAsLeader";
      readonly requestId: RequestId;
      readonly baseOffset: Offset;
      readonly endOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  /** Every batch of the response that is being handled, byte for byte. */
  | { readonly kind: "appendAsFollower"; readonly baseOffset: Offset; readonly endOffset: Offset }
  /** Removes what is at or above `cut`, and the epochs that begin there. Flushes begun later carry `generation`. */
  | { readonly kind: "truncate"; readonly cut: Offset; readonly generation: FlushGeneration }
  /** Removes everything and begins anew at `offset`. */
  | { readonly kind: "restart"; readonly offset: Offset; readonly generation: FlushGeneration }
  | { readonly kind: "advanceLogStart"; readonly logStart: Offset };

export type SendEffect =
  | { readonly kind: "fetch"; readonly leader: BrokerId; readonly fetch: ReplicaFetch }
  | { readonly kind: "flushedReport"; readonly leader: BrokerId; readonly report: ReplicaFlushed }
  | { readonly kind: "alterPartition"; readonly request: AlterPartition }
  | { readonly kind: "confirmLeadership"; readonly confirmation: Confirmation; readonly leaderEpoch: LeaderEpoch };

/** Who leads now, as far as this broker knows. */
export interface LeaderHint {
  /** Undefined: nobody, or not known. */
  readonly leader: BrokerId | undefined;
  readonly leaderEpoch: LeaderEpoch;
}

/**
 * | reason                            | cause                                                            | retriable |
 * |-----------------------------------|------------------------------------------------------------------|-----------|
 * | NOT_LEADER                        | another broker leads, or nobody; the hint says who               | yes       |
 * | LEADER_FENCED_ITSELF              | heard neither controller nor follower for a session timeout      | yes       |
 * | REPLICA_OFFLINE                   | its log directory failed                                         | yes       |
 * | METADATA_REGRESSED                | a replica's log is of later leader epochs than the metadata      | no        |
 * | UNKNOWN_LEADER_EPOCH              | the client saw a newer leader epoch than this leader's           | yes       |
 * | NOT_ENOUGH_REPLICAS               | the ISR is below min ISR; nothing was appended                   | yes       |
 * | NOT_ENOUGH_REPLICAS_AFTER_APPEND  | it fell below min ISR after the append                           | yes       |
 * | REQUEST_TIMED_OUT                 | the deadline passed first                                        | yes       |
 * | APPEND_REFUSED                    | the leader's log took nothing of it: its disk is full            | yes       |
 * | OFFSET_NOT_AVAILABLE              | the high watermark is unsettled, or the leader recovers (R14, D2)| yes       |
 * | OFFSET_OUT_OF_RANGE               | below the log start, or above the log end of a settled leader    | no        |
 * | LOG_TRUNCATED                     | what the client read last is not in the log any more (P5)        | no        |
 * | PRODUCERS_NOT_CURRENT             | the log is behind what was ordered: a repeat cannot be told (R11) | yes       |
 * | OUT_OF_ORDER_SEQUENCE             | the batch does not follow the producer's last one (R11)          | no        |
 * | UNKNOWN_PRODUCER                  | nothing is known of the producer, and it goes on (R11)           | no        |
 * | PRODUCER_ID_NOT_GIVEN             | nobody got that producer id, as far as is known (R11)            | yes       |
 * | TOO_MANY_PRODUCERS                | the partition remembers as many producers as it may (R11)        | yes       |
 * | FENCED_PRODUCER                   | the producer has a newer producer epoch (R11)                    | no        |
 * | DUPLICATE_SEQUENCE                | committed long ago; the offset is not known any more (R11)       | no        |
 */
export type RefusalReason =
  | "NOT_LEADER"
  | "LEADER_FENCED_ITSELF"
  | "REPLICA_OFFLINE"
  | "METADATA_REGRESSED"
  | "UNKNOWN_LEADER_EPOCH"
  | "NOT_ENOUGH_REPLICAS"
  | "NOT_ENOUGH_REPLICAS_AFTER_APPEND"
  | "REQUEST_TIMED_OUT"
  | "APPEND_REFUSED"
  | "OFFSET_NOT_AVAILABLE"
  | "OFFSET_OUT_OF_RANGE"
  | "LOG_TRUNCATED"
  | "PRODUCERS_NOT_CURRENT"
  | "DUPLICATE_SEQUENCE"
  | SequenceRefusal;

/** What became of the mutation that was refused. Reads are always NOT_APPLIED. */
export type Outcome = "NOT_APPLIED" | "UNKNOWN" | "APPLIED";

export interface Refusal {
  readonly reason: RefusalReason;
  readonly outcome: Outcome;
  readonly hint: LeaderHint;
  /** The offsets that a produce of unknown outcome holds. */
  readonly range?: { readonly baseOffset: Offset; readonly endOffset: Offset };
  /** Where the logs part: with LOG_TRUNCATED. */
  readonly divergence?: Divergence;
}

export type Answer =
  | {
      readonly kind: "produced";
      readonly requestId: RequestId;
      readonly baseOffset: Offset;
      readonly endOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  /** Read [from, upTo) as far as the byte limit goes, at least one batch. Empty when `from` = `upTo`: waited in vain. */
  | {
      readonly kind: "consumerRead";
      readonly requestId: RequestId;
      readonly from: Offset;
      readonly upTo: Offset;
      readonly highWatermark: Offset;
      readonly logStart: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  | {
      readonly kind: "latestOffset";
      readonly requestId: RequestId;
      readonly offset: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  /** To a produce, a consumer's fetch or a question for an offset. */
  | { readonly kind: "refused"; readonly requestId: RequestId; readonly refusal: Refusal }
  /** To a follower: read [from, upTo), committed or not. Empty when `from` = `upTo`. */
  | {
      readonly kind: "replicaRead";
      readonly requestId: RequestId;
      readonly replica: BrokerId;
      readonly session: FetchSession;
      readonly leaderEpoch: LeaderEpoch;
      readonly from: Offset;
      readonly upTo: Offset;
      readonly highWatermark: Offset;
      readonly logStart: Offset;
    }
  | {
      readonly kind: "replicaDiverging";
      readonly requestId: RequestId;
      readonly replica: BrokerId;
      readonly session: FetchSession;
      readonly leaderEpoch: LeaderEpoch;
      readonly divergence: Divergence;
    }
  | {
      readonly kind: "replicaBehindLogStart";
      readonly requestId: RequestId;
      readonly replica: BrokerId;
      readonly session: FetchSession;
      readonly leaderEpoch: LeaderEpoch;
      readonly logStart: Offset;
    }
  | {
      readonly kind: "replicaRefused";
      readonly requestId: RequestId;
      readonly replica: BrokerId;
      readonly session: FetchSession;
      /** Of the fetch that is refused. */
      readonly leaderEpoch: LeaderEpoch;
      readonly reason: ReplicaRefusal;
    };

export function createOutput(): PartitionOutput {
  return { persist: [], send: [], answer: [], trace: [] };
}
