/**
 * What a candidate needs of a store: an ordered tree of keys that is changed by guarded requests and followed batch by
 * batch. All that makes it a consensus (epochs, the fence, the election) is the candidate's own doing by the guards, so
 * that a request which arrives late is refused by what it says and not by who believes what.
 */
import type { Revision } from "@tidemark/ids";
import type { Change } from "../consensus.ts";

/**
 * A change as the store keeps it. An ephemeral put binds the key to the session that made it: the key is deleted, as an
 * ordinary batch, some time after the session ended (C7). A later put without `ephemeral` unbinds it.
 */
export type StoreChange = Change & { readonly ephemeral?: boolean };

/** What stands at a key. `held`: bound to a living session. */
export interface StoredValue {
  readonly value: Uint8Array;
  readonly held: boolean;
}

export interface CommittedBatch {
  readonly revision: Revision;
  readonly changes: readonly StoreChange[];
}

/** Batches that are committed one behind the other, each at its own revision, if every guard holds: all or none. */
export interface StoreRequest {
  /** What has to stand at each key, byte for byte; undefined: nothing. */
  readonly guards: readonly { readonly key: string; readonly value: Uint8Array | undefined }[];
  readonly batches: readonly (readonly StoreChange[])[];
}

/**
 * | kind         | meaning                                                                  | applied |
 * |--------------|--------------------------------------------------------------------------|---------|
 * | committed    | durable, a revision for each batch                                       | yes     |
 * | conflict     | a guard does not hold                                                    | never   |
 * | sessionEnded | an ephemeral put of a session that has ended                             | never   |
 * | noSpace      | the storage is full                                                      | never   |
 * | refused      | the store takes no such request, or not from this user                   | never   |
 * | failed       | the storage failed before                                                | never   |
 * | unknown      | the storage failed over this request; the store takes nothing more       | perhaps |
 */
export type StoreAnswer =
  | { readonly kind: "committed"; readonly revisions: readonly Revision[] }
  | { readonly kind: "conflict" }
  | { readonly kind: "sessionEnded" }
  | { readonly kind: "noSpace" | "refused" | "failed" | "unknown"; readonly message: string };

/**
 * What a session follows: a snapshot or the batches behind where it resumed, then every batch. Another snapshot stands for
 * everything up to its revision, where the batches cannot be had one by one.
 */
export type StoreFeed =
  | { readonly kind: "snapshot"; readonly revision: Revision; readonly entries: ReadonlyMap<string, StoredValue> }
  | { readonly kind: "batch"; readonly batch: CommittedBatch };

export interface SessionHandlers {
  /** In order, each once; from the session's beginning to its end. */
  readonly onFeed: (feed: StoreFeed) => void;
  /** Once, when the session ended other than by `close`: its keys are gone or will be. Nothing follows. */
  readonly onLost: (cause: string) => void;
  /** Once, when the storage failed: every later request is answered `failed`. */
  readonly onFailed: (message: string) => void;
}

/** One connection of one candidate. */
export interface StoreSession {
  /** How many batches one request may hold, at least 1. */
  readonly batchesMax: number;
  /** Requests are carried out in the order of the calls. Rejects with LinkLostError where the answer was lost. */
  request(request: StoreRequest): Promise<StoreAnswer>;
  /** The revision of the newest batch that was committed before the call. Rejects with LinkLostError. */
  read(): Promise<Revision>;
  /** Ends the session: resolves when the keys bound to it are gone, or cannot be. */
  close(): Promise<void>;
}

export interface StoreLink {
  /**
   * Begins a session whose feed continues behind `from`; with undefined, or where the history does not reach back so
   * far, with a snapshot. Waits until the store can be reached. Rejects only with the signal's reason.
   */
  connect(from: Revision | undefined, handlers: SessionHandlers, signal: AbortSignal): Promise<StoreSession>;
}

/** The answer to a request was lost: it may have been carried out, or may be later. */
export class LinkLostError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LinkLostError";
  }
}
