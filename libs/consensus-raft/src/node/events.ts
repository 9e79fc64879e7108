/** What happens inside a node, as it happens: an adapter turns these into spans, metrics and log lines. */
import type { Membership, NodeId, RaftEvent } from "@tidemark/raft";

export type NodeEvent =
  | { readonly kind: "raft"; readonly event: RaftEvent }
  /** `cutBytes`: of a write that was under way at a power cut. */
  | {
      readonly kind: "opened";
      readonly id: NodeId;
      readonly term: number;
      readonly lastIndex: number;
      readonly membership: Membership;
      readonly cutBytes: number;
    }
  /** Entries that went to the disk together and were flushed, in milliseconds. */
  | { readonly kind: "written"; readonly writes: number; readonly entries: number; readonly ms: number }
  /** The leader may act, until it hears from no majority in time. */
  | { readonly kind: "leaseBegun"; readonly term: number }
  | { readonly kind: "leaseEnded"; readonly term: number; readonly cause: LeaseEnd }
  /** The process stood still for `ms`, and starts its observations anew. */
  | { readonly kind: "stalled"; readonly ms: number }
  | { readonly kind: "sessionEnded"; readonly session: string; readonly keys: readonly string[] }
  /** Leadership is handed to a voter whose process takes part in the election. */
  | { readonly kind: "handingOver"; readonly to: NodeId; readonly cause: HandoverCause }
  | { readonly kind: "snapshotSaved"; readonly index: number; readonly bytes: number; readonly ms: number }
  | { readonly kind: "snapshotLoaded"; readonly index: number; readonly bytes: number }
  /** There has been no leader for `ms`. Said every few seconds. */
  | { readonly kind: "noQuorum"; readonly ms: number; readonly silent: readonly NodeId[] }
  | { readonly kind: "peerRefused"; readonly peer: NodeId }
  | { readonly kind: "storageFailed"; readonly message: string };

/**
 * | cause       | the leader may no longer act because                          |
 * |-------------|---------------------------------------------------------------|
 * | unconfirmed | no majority confirmed it in time                              |
 * | deposed     | it does not lead any more                                     |
 */
export type LeaseEnd = "unconfirmed" | "deposed";

/**
 * | cause      | the leader's own process                                          |
 * |------------|-------------------------------------------------------------------|
 * | outside    | takes no part in the election                                     |
 * | standsBack | resigned                                                          |
 * | stuck      | could claim, and did not for a while                              |
 * | asked      | somebody asked for it                                             |
 */
export type HandoverCause = "outside" | "standsBack" | "stuck" | "asked";

/** Called at once and in order. Does not throw, and does not call back. */
export type NodeEventSink = (event: NodeEvent) => void;
