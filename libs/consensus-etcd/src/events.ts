/** What happens between the backend and etcd, as it happens. Durations are milliseconds and end at the event. */
import type { Revision } from "@tidemark/ids";
import type { EtcdErrorCode, LeaseId } from "./stubs.ts";

/** What a connection is for: each purpose has its own. */
export type ConnectionPurpose = "calls" | "lease" | "watch";

export type EtcdEvent =
  /** A guarded transaction was answered, or its answer was given up. */
  | {
      readonly kind: "transaction";
      readonly operations: number;
      readonly outcome: "committed" | "conflict" | EtcdErrorCode;
      readonly revision: Revision | undefined;
      readonly ms: number;
    }
  /** A call or stream failed, and the next member is tried. */
  | {
      readonly kind: "memberFailed";
      readonly purpose: ConnectionPurpose;
      readonly endpoint: string;
      readonly cause: string;
      /** In a row, over all members. */
      readonly failures: number;
    }
  /** No session could be begun, for a reason that no other member would mend. It is tried again. */
  | { readonly kind: "connectFailed"; readonly code: EtcdErrorCode; readonly message: string }
  | { readonly kind: "leaseGranted"; readonly lease: LeaseId; readonly ttlMs: number; readonly ms: number }
  /** etcd grants another time than was asked for: belief follows what it grants. */
  | { readonly kind: "leaseNotAsAsked"; readonly askedMs: number; readonly ttlMs: number }
  | { readonly kind: "leaseLost"; readonly lease: LeaseId; readonly cause: string }
  | { readonly kind: "watchStarted"; readonly endpoint: string; readonly from: Revision; readonly ms: number }
  | { readonly kind: "watchInterrupted"; readonly endpoint: string; readonly cause: string; readonly next: Revision }
  /** The history that a watch wanted is gone: a snapshot takes its place. */
  | { readonly kind: "watchCompacted"; readonly wanted: Revision; readonly compacted: Revision }
  | {
      readonly kind: "listed";
      readonly revision: Revision;
      readonly entries: number;
      readonly pages: number;
      readonly ms: number;
    }
  | { readonly kind: "historyCompacted"; readonly revision: Revision }
  | { readonly kind: "compactionFailed"; readonly message: string }
  /** etcd's revision fell: it was restored from a backup, or is another cluster. */
  | { readonly kind: "storeRegressed"; readonly seen: Revision; readonly found: Revision };

/** Called at once and in order. Does not throw, and does not call back. */
export type EtcdEventSink = (event: EtcdEvent) => void;
