/** What the feed last told of the keys that the store writes itself: their revisions in etcd, and their leases. */
import { isStoreKey } from "@tidemark/consensus";
import type { Keyspace } from "./keyspace.ts";
import type { EtcdChange, EtcdKeyValue, LeaseId } from "./stubs.ts";

export interface KeptKey {
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly lease: LeaseId;
}

export interface KeptKeys {
  get(key: string): KeptKey | undefined;
  entries(): ReadonlyMap<string, KeptKey>;
  reset(entries: readonly EtcdKeyValue[]): void;
  apply(changes: readonly EtcdChange[]): void;
}

export function createKeptKeys(keyspace: Keyspace): KeptKeys {
  const kept = new Map<string, KeptKey>();
  const put = ({ key, createRevision, modRevision, lease }: EtcdKeyValue) => {
    const name = keyspace.fromEtcd(key);
    if (isStoreKey(name)) kept.set(name, { createRevision, modRevision, lease });
  };
  return {
    get: (key) => kept.get(key),
    entries: () => kept,
    reset(entries) {
      kept.clear();
      for (const entry of entries) put(entry);
    },
    apply(changes) {
      for (const change of changes) {
        if (change.kind === "put") put(change);
        else kept.delete(keyspace.fromEtcd(change.key));
      }
    },
  };
}
