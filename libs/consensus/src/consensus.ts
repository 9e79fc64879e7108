/**
 * What the controller is written against: an ordered, fenced log of changes to a small tree of keys, watches that never
 * skip, and one elected leader. The rows C1 to C12 that the comments name are the contract; `describeConsensusContract`
 * tests them, and a backend is done when it passes.
 */
import type { ControllerEpoch, ControllerId, DirectoryId, Revision } from "@tidemark/ids";

/** One key's change. A key stands at most once in a batch (C1). */
export type Change =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly key: string };

/** Limits that the interface enforces before a backend sees a batch (C10). */
export const limits = {
  keyBytesMax: 512,
  valueBytesMax: 64 * 1024,
  batchChangesMax: 100,
  batchBytesMax: 512 * 1024,
} as const;

/**
 * The outcome of an append (C6).
 *
 * | kind      | meaning                                                                                               |
 * |-----------|-------------------------------------------------------------------------------------------------------|
 * | committed | in the log at this revision, durable                                                                  |
 * | refused   | never applied and never will be                                                                       |
 * | unknown   | may still be committed, until a later append of the same leader is committed or a newer epoch is seen |
 */
export type AppendOutcome =
  | { readonly kind: "committed"; readonly revision: Revision }
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

/**
 * | reason             | cause                                                                            |
 * |--------------------|----------------------------------------------------------------------------------|
 * | FENCED             | the epoch is not the newest (C5)                                                 |
 * | INVALID_BATCH      | over a limit (C10), empty, a key twice, a malformed key, or a key that the backend keeps itself |
 * | RESOURCE_EXHAUSTED | too many appends in flight (C11)                                                 |
 * | NO_SPACE           | the backend's storage is full                                                    |
 * | SEALED             | the store was exported and takes nothing more                                    |
 * | CLOSED             | this candidate was closed                                                        |
 */
export type RefusalReason = "FENCED" | "INVALID_BATCH" | "RESOURCE_EXHAUSTED" | "NO_SPACE" | "SEALED" | "CLOSED";

/** What a watch hands out (C2): first a snapshot, then every later batch in order, whole, once. */
export type WatchEvent =
  | { readonly kind: "snapshot"; readonly revision: Revision; readonly entries: ReadonlyMap<string, Uint8Array> }
  | { readonly kind: "batch"; readonly revision: Revision; readonly changes: readonly Change[] };

/**
 * What a candidate believes of the leadership (C3, C4). Belief is not enough for any answer that must be current: those
 * pass `sync()` (C9) or an `append`.
 */
export type Leadership =
  | { readonly kind: "none" }
  | {
      readonly kind: "following";
      readonly epoch: ControllerEpoch;
      readonly leader: ControllerId;
      readonly endpoint: string;
    }
  | { readonly kind: "leading"; readonly epoch: ControllerEpoch };

export interface CandidateIdentity {
  readonly controllerId: ControllerId;
  readonly directoryId: DirectoryId;
  /** Where brokers and gateways reach this controller, host:port. */
  readonly endpoint: string;
}

export interface Member {
  readonly controllerId: ControllerId;
  readonly directoryId: DirectoryId;
  readonly endpoint: string;
  readonly voter: boolean;
  readonly alive: boolean;
}

export type MemberChange =
  | { readonly kind: "addVoter"; readonly member: Pick<Member, "controllerId" | "directoryId" | "endpoint"> }
  | { readonly kind: "removeVoter"; readonly controllerId: ControllerId; readonly directoryId: DirectoryId };

export type MemberChangeOutcome =
  | { readonly kind: "changed"; readonly members: readonly Member[] }
  | { readonly kind: "refused"; readonly reason: MemberRefusalReason; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

/** MEMBERS_NOT_MANAGED_HERE: membership of this backend is changed by its own tools. */
export type MemberRefusalReason = "MEMBERS_NOT_MANAGED_HERE" | "NOT_LEADER" | "CHANGE_IN_PROGRESS" | "INVALID_MEMBER";

/** One candidate's handle on the store. All methods may be called at once; events come in order. */
export interface Consensus {
  /**
   * Takes part in the election from now on. `identity.endpoint` is what others will be told. Resolves when this
   * candidate is known to the store (`/controllers/<id>`).
   */
  join(identity: CandidateIdentity): Promise<void>;
  /** The belief now and each later one. Ends when the candidate is closed. */
  leadership(): AsyncIterable<Leadership>;
  /** Gives leadership up by `/controller` with id -1; a no-op for whoever does not lead. Others may claim at once. */
  resign(): Promise<void>;
  /**
   * Appends a batch of changes on behalf of the leader of `epoch` (C1, C5, C6, C10, C11). Batches of one caller are
   * committed in the order of the calls.
   */
  append(epoch: ControllerEpoch, changes: readonly Change[]): Promise<AppendOutcome>;
  /** Returns when the local state (watches of this handle) holds all that was committed before the call (C9). */
  sync(): Promise<Revision>;
  /** A snapshot, then every later batch (C2). A consumer that stops reading is given a fresh snapshot in time. */
  watch(signal: AbortSignal): AsyncIterable<WatchEvent>;
  describeMembers(): Promise<readonly Member[]>;
  changeMembers(change: MemberChange): Promise<MemberChangeOutcome>;
  /** Leaves: leadership ends, ephemeral keys go, iterations end, pending appends settle. */
  close(): Promise<void>;
}
