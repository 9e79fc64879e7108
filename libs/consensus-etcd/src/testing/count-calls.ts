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
  const count = <Rest extends readonly unknown[], Answer>(name: Call, call: (...rest: Rest) => Answer) => {
    return (...rest: Rest): Answer => {
      counts.set(name, of(name) + 1);
      return call(...rest);
    };
  };
  return {
    of,
    all: () => [...counts.values()].reduce((sum, each) => sum + each, 0),
    between: ({ endpoints, connect }) => ({
      endpoints,
      connect(endpoint) {
        const stubs = connect(endpoint);
        return {
          range: count("range", stubs.range),
          txn: count("txn", stubs.txn),
          compact: count("compact", stubs.compact),
          leaseGrant: count("leaseGrant", stubs.leaseGrant),
          leaseRevoke: count("leaseRevoke", stubs.leaseRevoke),
          leaseKeepAlive: count("leaseKeepAlive", stubs.leaseKeepAlive),
          watch: count("watch", stubs.watch),
          close: stubs.close,
        };
      },
    }),
  };
}
