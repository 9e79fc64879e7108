/** What a client of etcd and a member tell each other on one connection. */
import type { EtcdErrorCode, LeaseId, RangeRequest, TxnRequest, WatchRequest } from "@tidemark/consensus-etcd";

/** A call with one answer. */
export type Call =
  | { readonly name: "range"; readonly request: RangeRequest }
  | { readonly name: "txn"; readonly request: TxnRequest }
  | { readonly name: "compact"; readonly revision: bigint }
  | { readonly name: "leaseGrant"; readonly ttlSeconds: number }
  | { readonly name: "leaseRevoke"; readonly lease: LeaseId };

/** A call with a stream of answers. */
export type Stream =
  | { readonly name: "watch"; readonly request: WatchRequest }
  | { readonly name: "leaseKeepAlive"; readonly lease: LeaseId };

/** `id`: the client's number of the call or stream. */
export type FromClient =
  | { readonly kind: "call"; readonly id: number; readonly call: Call }
  | { readonly kind: "open"; readonly id: number; readonly stream: Stream }
  /** Asks a stream for an answer. */
  | { readonly kind: "ask"; readonly id: number }
  | { readonly kind: "close"; readonly id: number };

export type FromMember =
  /** Ends a call. */
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "message"; readonly id: number; readonly value: unknown }
  /** Ends a call or a stream. */
  | { readonly kind: "failure"; readonly id: number; readonly code: EtcdErrorCode; readonly message: string };
