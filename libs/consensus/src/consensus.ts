/**
 * What the controller is written against: an ordered, fenced log of changes to a small tree of keys, watches that never
 * skip, and one elected leader. The rows C1 to C12 that the comments name are the contract; `describeConsensusContract`
 * tests them, and a backend is done when it passes.
 */
import type { ControllerEpoch, ControllerId, DirectoryId, Revision } from "@tidemark/ids";

/**
 * One key's change. A key stands at most once in a batch (C1). Values are not copied: whoever hands one over, in either
 * direction, does not write to it afterwards.
 */
export type Change =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly key: string };

/**
 * The outcome of an append (C6).
 *
 * | kind      | meaning                                                                                               |
 * |-----------|-------------------------------------------------------------------------------------------------------|
 * | committed | in the log at this revision, durable, and with the watches of this handle while it is connected      |
 * | refused   | never applied and never will be                                                                       |
 * | unknown   | may still be committed, until a later append of the same leader is committed or a newer epoch is seen |
 */
export type AppendOutcome =
  | { readonly kind: "committed"; readonly revision: Revision }
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

/** An append that is not committed, or nobody knows. */
export type AppendFailure = Exclude<AppendOutcome, { kind: "committed" }>;

/**
 * | reason             | cause                                                                                           |
 * |--------------------|-------------------------------------------------------------------------------------------------|
 * | FENCED             | the epoch is not the newest, or this candidate does not lead it (C5)                            |
 * | INVALID_BATCH      | over a limit (C10), empty, a key twice, a malformed key, or a key that the store keeps itself   |
 * | RESOURCE_EXHAUSTED | too many appends in flight (C11)                                                                |
 * | NO_SPACE           | the storage is full; nothing of the batch is left on it                                         |
 * | STORE_REFUSED      | the store takes no such batch, or not from this user; the leader leads on                       |
 * | SEALED             | the store was exported and takes nothing more                                                   |
 * | FAILED             | the storage failed earlier; this process takes nothing more until it is started again           |
 * | CLOSED             | this candidate was closed                                                                       |
 */
export type RefusalReason =
  | "FENCED"
  | "INVALID_BATCH"
  | "RESOURCE_EXHAUSTED"
  | "NO_SPACE"
  | "STORE_REFUSED"
  | "SEALED"
  | "FAILED"
  | "CLOSED";

/**
 * What a watch hands out (C2): first a snapshot, then every later batch in order, whole, once. Another snapshot stands
 * for everything up to its revision, deletions included, wherever batches cannot be had one by one.
 *
 * A batch holds the changes that took effect: a put always does, the deletion of an absent key does not. Beside the
 * caller's changes stand those of the keys that the store keeps (`isStoreKey`), at least `/append` with each append, so
 * that every committed batch shows.
 */
export type WatchEvent =
  | { readonly kind: "snapshot"; readonly revision: Revision; readonly entries: ReadonlyMap<string, Uint8Array> }
  | { readonly kind: "batch"; readonly revision: Revision; readonly changes: readonly Change[] };

/**
 * What a candidate believes of the leadership (C3, C4). Belief is not enough for any answer that must be current: those
 * pass `sync()` (C9) or an `append`.
 *
 * `leading.revision` is that of the batch that began the epoch: every watch of this handle was given everything up to
 * it before the belief is announced. Whoever acts as the leader has first read its watch up to there.
 */
export type Leadership =
  | { readonly kind: "none" }
  | {
      readonly kind: "following";
      readonly epoch: ControllerEpoch;
      readonly leader: ControllerId;
      readonly endpoint: string;
    }
  | { readonly kind: "leading"; readonly epoch: ControllerEpoch; readonly revision: Revision };

export interface CandidateIdentity {
  readonly controllerId: ControllerId;
  readonly directoryId: DirectoryId;
  /** Where brokers and gateways reach this controller, host:port. */
  readonly endpoint: string;
}

export interface Member extends CandidateIdentity {
  readonly voter: boolean;
  readonly alive: boolean;
}

export type MemberChange =
  | { readonly kind: "addVoter"; readonly member: CandidateIdentity }
  | {
      readonly kind: "removeVoter";
      readonly controllerId: ControllerId;
      readonly directoryId: DirectoryId;
      /** Also where it leaves no living majority: nothing is committed then until enough of the others are back. */
      readonly force?: boolean;
    };

export type MemberChangeOutcome =
  | { readonly kind: "changed"; readonly members: readonly Member[] }
  | { readonly kind: "refused"; readonly reason: MemberRefusalReason; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

/**
 * | reason                   | cause                                                                              |
 * |--------------------------|------------------------------------------------------------------------------------|
 * | MEMBERS_NOT_MANAGED_HERE | the members of this store are changed by its own tools, or there is only one       |
 * | NOT_LEADER               | another one leads                                                                  |
 * | CHANGE_IN_PROGRESS       | the last change is not committed, or the new member still catches up: ask again    |
 * | INVALID_MEMBER           | no such member, one with this controller id already, or the last voter             |
 * | NO_LIVING_MAJORITY       | too few of the voters that would stay are heard; `force` does it all the same      |
 */
export type MemberRefusalReason =
  | "MEMBERS_NOT_MANAGED_HERE"
  | "NOT_LEADER"
  | "CHANGE_IN_PROGRESS"
  | "INVALID_MEMBER"
  | "NO_LIVING_MAJORITY";

/**
 * | code             | cause                                                                                          |
 * |------------------|------------------------------------------------------------------------------------------------|
 * | CLOSED           | the candidate was closed                                                                       |
 * | FAILED           | the storage failed; this process takes nothing more until it is started again                  |
 * | NO_SPACE         | the storage is full                                                                            |
 * | ALREADY_JOINED   | `join` was called before                                                                       |
 * | INVALID_IDENTITY | an endpoint that is no host:port                                                               |
 * | ID_TAKEN         | a living candidate with another directory has this controller id                               |
 */
export type ConsensusErrorCode = "CLOSED" | "FAILED" | "NO_SPACE" | "ALREADY_JOINED" | "INVALID_IDENTITY" | "ID_TAKEN";

/** Why a call on a candidate cannot be answered, now or ever. */
export class ConsensusError extends Error {
  readonly code: ConsensusErrorCode;

  constructor(code: ConsensusErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = "ConsensusError";
    this.code = code;
  }
}

/**
 * One candidate's handle on the store. All methods may be called at once. Where a candidate is cut off from the store,
 * calls wait until it is back, until their signal is aborted, or until the candidate is closed; an append alone is
 * answered `unknown` rather than left waiting.
 */
export interface Consensus {
  /**
   * Takes part in the election from now on. `identity.endpoint` is what others will be told. Resolves when this
   * candidate is known to the store (`/controllers/<id>`, C7). Without it a handle reads and never leads. Rejects with
   * ALREADY_JOINED, INVALID_IDENTITY, ID_TAKEN, CLOSED, FAILED or NO_SPACE.
   */
  join(identity: CandidateIdentity): Promise<void>;
  /**
   * The belief now and each later one (C4). A reader that is slow misses beliefs that a later one has replaced. Ends
   * when the candidate is closed; throws FAILED when the storage failed, after a last `none`.
   */
  leadership(): AsyncIterable<Leadership>;
  /**
   * Gives leadership up by `/controller` with id -1: others may claim at once, and so may this candidate again later.
   * Where the store does not take that (it is full), this candidate claims anew as soon as it can: others may not.
   * A no-op for whoever does not lead. Resolves when the belief has ended: undefined, or why the store did not take it.
   */
  resign(): Promise<AppendFailure | undefined>;
  /**
   * Appends a batch of changes on behalf of the leader of `epoch` (C1, C5, C6, C10, C11). Batches of one caller are
   * committed in the order of the calls, and any number within the bounds of `appendLimits` may be in flight. Never
   * rejects.
   */
  append(epoch: ControllerEpoch, changes: readonly Change[]): Promise<AppendOutcome>;
  /**
   * The last batch of a store that is exported: seals `/cluster`, counts the controller epoch up and leaves nobody
   * leading, on behalf of the leader of `epoch`. Appends that were called before it come first; from then on every
   * append is refused with SEALED and nobody is elected, through restarts of everything. Keys of candidates still come
   * and go. Refused with INVALID_BATCH where `/cluster` is absent or does not parse. Outcomes as those of `append`.
   */
  seal(epoch: ControllerEpoch): Promise<AppendOutcome>;
  /**
   * Takes the seal off again: a leader is elected in a later epoch. Whoever calls knows that no import of the export
   * was begun. Refused with INVALID_BATCH where there is no seal, with FENCED where another change came first.
   */
  unseal(): Promise<AppendOutcome>;
  /**
   * Returns when the watches of this handle were given all that was committed before the call (C9), with the revision
   * up to which they have to be read to have it. Rejects with the signal's reason, CLOSED or FAILED.
   */
  sync(signal: AbortSignal): Promise<Revision>;
  /**
   * A snapshot, then every later batch (C2). A consumer that stops reading is given a fresh snapshot in time, so that
   * nothing grows without limit (C11). Ends when `signal` is aborted or the candidate closed; throws FAILED when the
   * storage failed.
   */
  watch(signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Who takes part in the consensus, in the order of their ids. Rejects with CLOSED or FAILED. */
  describeMembers(): Promise<readonly Member[]>;
  /** Adds or removes a voter where the members are managed here. Rejects with CLOSED or FAILED. */
  changeMembers(change: MemberChange): Promise<MemberChangeOutcome>;
  /** Leaves: leadership ends, ephemeral keys go, iterations end, pending appends settle. A second call waits too. */
  close(): Promise<void>;
}
