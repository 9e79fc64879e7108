/**
 * The part of etcd's API that the backend uses, in our own types: one member of an etcd cluster, over one set of
 * connections. Implemented on the `etcd3` package's typed stubs, and by the simulated etcd.
 */

/** Text of a key, byte for byte (Latin-1), so that two keys that are no text stay two keys. */
export type EtcdKey = string;

/** etcd's 64-bit id in decimal. "0": no lease. */
export type LeaseId = string;

export const noLease: LeaseId = "0";

export interface EtcdKeyValue {
  readonly key: EtcdKey;
  readonly value: Uint8Array;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly lease: LeaseId;
}

/** `[key, rangeEnd)`, or one key where `rangeEnd` is absent. */
export interface EtcdRange {
  readonly key: EtcdKey;
  readonly rangeEnd?: EtcdKey;
}

export interface RangeRequest extends EtcdRange {
  /** Absent: no limit. */
  readonly limit?: number;
  /** Absent: the newest revision, linearizable. */
  readonly revision?: bigint;
}

/** `revision`, here and below: the store's when the request was carried out, whatever the prefix. */
export interface RangeResponse {
  readonly revision: bigint;
  readonly entries: readonly EtcdKeyValue[];
  /** More keys follow than the limit let through. */
  readonly more: boolean;
}

/** Holds, or refuses the whole transaction. */
export type EtcdCompare =
  | { readonly target: "value"; readonly key: EtcdKey; readonly value: Uint8Array }
  | { readonly target: "createRevision" | "modRevision"; readonly key: EtcdKey; readonly revision: bigint };

export type EtcdOperation =
  | { readonly kind: "put"; readonly key: EtcdKey; readonly value: Uint8Array; readonly lease: LeaseId }
  | { readonly kind: "delete"; readonly key: EtcdKey }
  | ({ readonly kind: "range" } & EtcdRange);

export interface TxnRequest {
  readonly compares: readonly EtcdCompare[];
  /** Carried out in order if every compare holds. A key stands at most once. */
  readonly success: readonly EtcdOperation[];
}

export interface TxnResponse {
  readonly revision: bigint;
  readonly succeeded: boolean;
  /** What each range of a transaction that succeeded found, in order. */
  readonly ranges: readonly (readonly EtcdKeyValue[])[];
}

export interface LeaseGrant {
  readonly id: LeaseId;
  /** Whole seconds. etcd raises what is below its own least. */
  readonly ttlSeconds: number;
}

export type EtcdChange =
  | ({ readonly kind: "put" } & EtcdKeyValue)
  | { readonly kind: "delete"; readonly key: EtcdKey; readonly modRevision: bigint };

export interface WatchResponse {
  /** The store's revision. May be ahead of the events: it says nothing about what was already sent. */
  readonly revision: bigint;
  /** The answer to the request to watch. */
  readonly created: boolean;
  /** The watch ended, and nothing follows. */
  readonly canceled?: { readonly reason: string; readonly compactRevision: bigint };
  /** Further parts of the last event's revision follow. */
  readonly fragment: boolean;
  readonly events: readonly EtcdChange[];
}

export interface WatchRequest extends EtcdRange {
  /** The first revision that is wanted. */
  readonly startRevision: bigint;
}

/** A stream that is open. `onEnd` is called once, unless `close` was called before. */
export interface StreamHandlers<Message> {
  readonly onMessage: (message: Message) => void;
  readonly onEnd: (error: EtcdError) => void;
}

export interface EtcdWatch {
  /** Asks for a response without events, for a sign of life. */
  requestProgress(): void;
  close(): void;
}

export interface LeaseKeepAlive {
  /** Answered by one message, in the order of the calls. */
  send(): void;
  close(): void;
}

/**
 * Unary calls reject with EtcdError. None is ever sent twice. All of them, and the streams, fail where the member sees
 * no leader.
 */
export interface EtcdStubs {
  range(request: RangeRequest): Promise<RangeResponse>;
  txn(request: TxnRequest): Promise<TxnResponse>;
  /** Forgets the history below `revision`. */
  compact(revision: bigint): Promise<void>;
  leaseGrant(ttlSeconds: number): Promise<LeaseGrant>;
  leaseRevoke(lease: LeaseId): Promise<void>;
  /** A message's `ttlSeconds` is 0 where the lease is gone. */
  leaseKeepAlive(lease: LeaseId, handlers: StreamHandlers<{ readonly ttlSeconds: number }>): LeaseKeepAlive;
  watch(request: WatchRequest, handlers: StreamHandlers<WatchResponse>): EtcdWatch;
  /** Ends the connections. Calls under way reject. */
  close(): void;
}

/** The members of an etcd cluster, and the way to each. */
export interface EtcdMembers {
  /** host:port, at least one. */
  readonly endpoints: readonly string[];
  readonly connect: (endpoint: string) => EtcdStubs;
}

/**
 * | code             | meaning                                                            | carried out |
 * |------------------|--------------------------------------------------------------------|-------------|
 * | LOST             | no answer, or one that does not say: another member may do better  | perhaps     |
 * | NO_SPACE         | etcd's space quota is used up, or its alarm is raised              | never       |
 * | LEASE_NOT_FOUND  | the lease is gone                                                  | never       |
 * | COMPACTED        | the revision was compacted                                         | never       |
 * | MESSAGE_TOO_LARGE| the answer is larger than this side takes                          | perhaps     |
 * | REFUSED          | etcd takes no such request: too large, too many operations         | never       |
 * | DENIED           | wrong credentials, or no right to the key                          | never       |
 */
export type EtcdErrorCode =
  | "LOST"
  | "NO_SPACE"
  | "LEASE_NOT_FOUND"
  | "COMPACTED"
  | "MESSAGE_TOO_LARGE"
  | "REFUSED"
  | "DENIED";

/** Why a call to etcd has no answer. */
export class EtcdError extends Error {
  readonly code: EtcdErrorCode;

  constructor(code: EtcdErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EtcdError";
    this.code = code;
  }
}
