/**
 * What happens inside a candidate and its store, as it happens: an adapter turns these into spans, metrics and log
 * lines. Durations are milliseconds by the monotonic clock and end at the event.
 */
import type { ControllerEpoch, ControllerId, Revision } from "@tidemark/ids";
import type { Leadership, RefusalReason } from "./consensus.ts";

/** Of a candidate. */
export type CandidateEvent =
  | { readonly kind: "connected" }
  /** The connection to the store is gone, and belief with it. */
  | { readonly kind: "disconnected"; readonly cause: string }
  | { readonly kind: "joined" }
  /** Behind a new connection, another directory's candidate has the id: this one stays out until it is gone. */
  | { readonly kind: "idTaken"; readonly controllerId: ControllerId }
  | {
      readonly kind: "claimed";
      readonly epoch: ControllerEpoch;
      readonly outcome: "won" | "lost" | "unsettled" | "noSpace" | "failed" | "over";
      readonly ms: number;
    }
  /** Neither `/controller_epoch` nor `/append` says which epoch comes next: nobody can claim. */
  | { readonly kind: "claimImpossible"; readonly message: string }
  /** The endpoint of this epoch's leader refused so many dials in a row: its place is claimed. */
  | { readonly kind: "leaderGone"; readonly epoch: ControllerEpoch; readonly refusals: number }
  /** The leader of this epoch has refused every dial since it is followed: it keeps its place. Once for each epoch. */
  | { readonly kind: "leaderUnreached"; readonly epoch: ControllerEpoch; readonly endpoint: string }
  | { readonly kind: "leadershipChanged"; readonly leadership: Leadership }
  | { readonly kind: "resigned"; readonly epoch: ControllerEpoch }
  /** Batches that went to the store together and were committed one behind the other. */
  | {
      readonly kind: "appended";
      readonly epoch: ControllerEpoch;
      readonly batches: number;
      readonly bytes: number;
      readonly revision: Revision;
      readonly ms: number;
    }
  | {
      readonly kind: "appendRefused";
      readonly epoch: ControllerEpoch;
      readonly reason: RefusalReason;
      readonly message: string;
    }
  | { readonly kind: "appendUnknown"; readonly epoch: ControllerEpoch; readonly message: string }
  /** An answer was lost and the store was asked: `applied` says what became of the batches. */
  | { readonly kind: "appendSettled"; readonly epoch: ControllerEpoch; readonly applied: boolean }
  /** An append found another's fence in the store. */
  | { readonly kind: "fenced"; readonly epoch: ControllerEpoch }
  | { readonly kind: "malformed"; readonly key: string; readonly message: string }
  /** Batches could not be had one by one: every watch goes on with a snapshot. */
  | { readonly kind: "watchReset"; readonly revision: Revision }
  /** A reader fell too far behind, and goes on with a snapshot. */
  | { readonly kind: "watcherBehind"; readonly batchesDropped: number };

/** Of a store. */
export type StoreEvent =
  | { readonly kind: "recovered"; readonly revision: Revision; readonly entries: number; readonly bytes: number }
  /** Bytes behind the last whole frame were cut off: a write that was under way at a power cut. */
  | { readonly kind: "tailCut"; readonly position: number; readonly bytes: number; readonly keptAs: string | undefined }
  | { readonly kind: "committed"; readonly revision: Revision; readonly batches: number; readonly ms: number }
  | { readonly kind: "sessionEnded"; readonly keys: readonly string[] }
  | {
      readonly kind: "compacted";
      readonly revision: Revision;
      readonly entries: number;
      readonly bytesBefore: number;
      readonly bytesAfter: number;
      readonly ms: number;
    }
  | { readonly kind: "compactionFailed"; readonly message: string }
  | { readonly kind: "spaceExhausted"; readonly message: string }
  | { readonly kind: "storageFailed"; readonly message: string };

export type ConsensusEvent = CandidateEvent | StoreEvent;

/** Called at once and in order. Does not throw, and does not call back. */
export type EventSink = (event: ConsensusEvent) => void;
