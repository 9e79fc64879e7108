import type { Branded, BrokerEpoch, BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import type { Divergence } from "./replica-log.ts";

/**
 * Counts the fetch sessions of one follower in one broker epoch. Within a session the follower's positions never fall,
 * so messages of a session may overtake each other; a message of an older session is dropped on both sides (R7).
 */
export type FetchSession = Branded<number, "FetchSession">;

/** Numbers the fetch sessions of one broker process, over all its partitions. */
export interface FetchSessions {
  next(): FetchSession;
}

/** A batch as a follower finds it in a fetch answer: offsets and leader epoch from the header, checksum already verified. */
export interface BatchRange {
  readonly baseOffset: Offset;
  /** One above the last offset of the batch. */
  readonly endOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** A follower asks its leader for records and says how far it is (R7). */
export interface ReplicaFetch {
  readonly replica: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** The leader epoch that the follower knows. */
  readonly leaderEpoch: LeaderEpoch;
  readonly session: FetchSession;
  /** First offset asked for. May be ahead of `fetched` when fetches are pipelined; it never counts as what it has. */
  readonly fetchOffset: Offset;
  /** The follower's log end. */
  readonly fetched: Offset;
  /** Leader epoch of the follower's newest entry below `fetched`; `noLeaderEpoch` when there is none. */
  readonly lastFetchedEpoch: LeaderEpoch;
  /** Below it everything is on the follower's stable storage. Never above `fetched`. */
  readonly flushed: Offset;
}

/**
 * A fetch that stands is asked on by the leader's own end of the stream, from where its last answer ended: the follower has
 * said nothing since. It counts for nothing, neither as a position (R2) nor as a sign of life.
 */
export interface StandingFetch extends Pick<ReplicaFetch, "replica" | "brokerEpoch" | "leaderEpoch" | "session"> {
  /** First offset that the follower was not sent yet. */
  readonly fetchOffset: Offset;
}

/** A follower's flush ended: sent at once, also while a fetch of it waits (R2). */
export interface ReplicaFlushed {
  readonly replica: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly leaderEpoch: LeaderEpoch;
  readonly session: FetchSession;
  readonly flushed: Offset;
  /** How far its log goes, held against the leader's as that of a fetch is. Undefined: not said, by an older follower. */
  readonly position?: ReplicaPosition | undefined;
}

/** Where a follower's log ends. */
export interface ReplicaPosition {
  readonly fetched: Offset;
  /** Leader epoch of the newest entry below `fetched`; `noLeaderEpoch` when there is none. */
  readonly lastFetchedEpoch: LeaderEpoch;
}

/**
 * | refusal              | cause                                            | what the follower does          |
 * |----------------------|--------------------------------------------------|---------------------------------|
 * | NOT_LEADER           | the broker asked does not lead (any more)        | waits, asks again               |
 * | FENCED_LEADER_EPOCH  | the follower's leader epoch is older             | waits for metadata              |
 * | UNKNOWN_LEADER_EPOCH | the leader has not heard of the epoch yet        | waits, asks again               |
 * | STALE_BROKER_EPOCH   | a newer incarnation of the follower was heard of | waits: this one is over         |
 * | STALE_SESSION        | a newer session of the follower was heard of     | ignores it                      |
 * | NOT_A_REPLICA        | not assigned, by what the leader knows           | waits, asks again               |
 * | REPLICA_OFFLINE      | the leader's log directory failed                | waits for metadata              |
 * | METADATA_REGRESSED   | a log is of later leader epochs than the metadata | waits for metadata             |
 * | UNKNOWN_TOPIC_ID     | the broker asked knows no such topic (any more)  | waits, asks again               |
 */
export type ReplicaRefusal =
  | "NOT_LEADER"
  | "FENCED_LEADER_EPOCH"
  | "UNKNOWN_LEADER_EPOCH"
  | "STALE_BROKER_EPOCH"
  | "STALE_SESSION"
  | "NOT_A_REPLICA"
  | "REPLICA_OFFLINE"
  | "METADATA_REGRESSED"
  | "UNKNOWN_TOPIC_ID";

/** What a follower finds in the answer to its fetch. */
export interface ReplicaResponse {
  readonly from: BrokerId;
  /** Those of the fetch that is answered. */
  readonly leaderEpoch: LeaderEpoch;
  readonly session: FetchSession;
  readonly content:
    | {
        readonly kind: "records";
        /** None when the fetch waited in vain. They follow each other from `fetchOffset` on. */
        readonly batches: readonly BatchRange[];
        readonly highWatermark: Offset;
        readonly logStart: Offset;
      }
    | { readonly kind: "diverging"; readonly divergence: Divergence }
    /** The follower's log ends below the leader's log start (L7). */
    | { readonly kind: "behindLogStart"; readonly logStart: Offset }
    | { readonly kind: "refused"; readonly reason: ReplicaRefusal };
}
