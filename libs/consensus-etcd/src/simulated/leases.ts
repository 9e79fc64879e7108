import type { LeaseId } from "../stubs.ts";

/** The leases of a simulated etcd. Times are milliseconds of its clock. */
export interface Leases {
  grant(ttlSeconds: number, nowMs: number): { readonly id: LeaseId; readonly ttlSeconds: number };
  has(lease: LeaseId): boolean;
  /** Seconds that it was granted for. 0: it is gone. */
  renew(lease: LeaseId, nowMs: number): number;
  /** False where it is gone. */
  revoke(lease: LeaseId): boolean;
  /** Those that ran out. They are there until they are revoked. */
  expired(nowMs: number): readonly LeaseId[];
  /** Begins all of them anew, as a new leader of etcd does. */
  extend(nowMs: number): void;
}

export function createLeases(ttlSecondsMin: number): Leases {
  const leases = new Map<LeaseId, { readonly ttlSeconds: number; untilMs: number }>();
  let last = 0;
  return {
    grant(asked, nowMs) {
      last += 1;
      const id = String(7_000_000 + last);
      const ttlSeconds = Math.max(asked, ttlSecondsMin);
      leases.set(id, { ttlSeconds, untilMs: nowMs + ttlSeconds * 1000 });
      return { id, ttlSeconds };
    },
    has: (lease) => leases.has(lease),
    renew(lease, nowMs) {
      const found = leases.get(lease);
      if (found === undefined) return 0;
      found.untilMs = nowMs + found.ttlSeconds * 1000;
      return found.ttlSeconds;
    },
    revoke: (lease) => leases.delete(lease),
    expired: (nowMs) => [...leases].flatMap(([id, { untilMs }]) => (untilMs <= nowMs ? [id] : [])),
    extend(nowMs) {
      for (const lease of leases.values()) lease.untilMs = nowMs + lease.ttlSeconds * 1000;
    },
  };
}
