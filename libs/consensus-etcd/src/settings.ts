/** How the backend uses etcd. Times are milliseconds. */
export interface EtcdSettings {
  /** Above every key, without a slash behind it: `/tidemark`. One for each cluster. */
  readonly prefix: string;
  /** Whole seconds. A candidate that does not renew for so long loses its keys. */
  readonly leaseMs: number;
  /** At most a third of the lease. */
  readonly renewalMs: number;
  /** History is compacted every so often by the leader, leaving `retainRevisions`. Undefined: never. */
  readonly compaction: { readonly intervalMs: number; readonly retainRevisions: number } | undefined;
}

/** What belief ends before the lease could: clocks do not run alike. */
export function beliefMarginMs(ttlMs: number): number {
  return ttlMs / 10;
}

/** How long a call may take before another member is tried: a lease leaves room for three at least. */
export function callTimeoutMs({ leaseMs }: Pick<EtcdSettings, "leaseMs">): number {
  return Math.min(leaseMs / 3, 2_000);
}

/** How long a renewal may be on its way before another member is tried. */
export function renewalTimeoutMs({ leaseMs, renewalMs }: Pick<EtcdSettings, "leaseMs" | "renewalMs">): number {
  return Math.min(leaseMs / 5, renewalMs);
}

/** After etcd refused what no other member would grant (a right, the credentials), how long until it is asked again. */
export const refusalPauseMs = 1_000;

/** Throws RangeError on what etcd cannot keep exactly. */
export function refuseSettings({ leaseMs, renewalMs }: EtcdSettings): void {
  if (leaseMs % 1000 !== 0 || leaseMs < 1000) {
    throw new RangeError(`etcd grants leases of whole seconds: it cannot keep one of ${leaseMs} ms`);
  }
  if (renewalMs <= 0 || renewalMs * 3 > leaseMs) {
    throw new RangeError(`a lease of ${leaseMs} ms is renewed at least three times, not every ${renewalMs} ms`);
  }
}
