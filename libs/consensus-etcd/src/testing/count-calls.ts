import type { EtcdMembers, EtcdStubs } from "../stubs.ts";

type Call = Exclude<keyof EtcdStubs, "close">;

/** Counts what is asked of etcd, whatever becomes of it: calls, watches that are begun, and streams for renewals. */
export interface CountedCalls {
  /** To be put between candidates and etcd. */
  readonly between: (members: EtcdMembers) => EtcdMembers;
  of(call: Call): number;
  all(): number;
}

export function countCalls(): CountedCalls {
  const counts = new Map<Call, number>();
  const of = (call: Call) => counts.get(call) ?? 0;
  const count = <Answer>(call: Call, answer: Answer): Answer => {
    counts.set(call, of(call) + 1);
    return answer;
  };
  return {
    of,
    all: () => [...counts.values()].reduce((sum, each) => sum + each, 0),
    between: ({ endpoints, connect }) => ({
      endpoints,
      connect(endpoint) {
        const stubs = connect(endpoint);
        return {
          range: (request) => count("range", stubs.range(request)),
          txn: (request) => count("txn", stubs.txn(request)),
          compact: (revision) => count("compact", stubs.compact(revision)),
          leaseGrant: (ttlSeconds) => count("leaseGrant", stubs.leaseGrant(ttlSeconds)),
          leaseRevoke: (lease) => count("leaseRevoke", stubs.leaseRevoke(lease)),
          leaseKeepAlive: (lease, handlers) => count("leaseKeepAlive", stubs.leaseKeepAlive(lease, handlers)),
          watch: (request, handlers) => count("watch", stubs.watch(request, handlers)),
          close: () => stubs.close(),
        };
      },
    }),
  };
}
