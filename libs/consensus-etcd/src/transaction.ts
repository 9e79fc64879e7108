/** Guarded requests of a candidate as transactions of etcd. */
import type { StoreChange, StoreRequest } from "@tidemark/consensus";
import type { EtcdGuards } from "./guards.ts";
import type { KeptKeys } from "./kept-keys.ts";
import type { Keyspace } from "./keyspace.ts";
import type { EtcdCompare, EtcdOperation, LeaseId, TxnRequest } from "./stubs.ts";
import { noLease } from "./stubs.ts";

export interface TransactionContext {
  readonly keyspace: Keyspace;
  readonly kept: KeptKeys;
  /** That ephemeral keys are bound to. */
  readonly lease: LeaseId;
  readonly guards: EtcdGuards;
}

/** A request has one batch: a transaction has one revision. */
export function transactionOf(request: StoreRequest, context: TransactionContext): TxnRequest {
  const [changes = []] = request.batches;
  const compares = request.guards.map((guard) => compareOf(guard, context));
  return {
    compares: [...compares, ...leaseGuards(changes, context)],
    success: changes.map((change) => operationOf(change, context)),
  };
}

function compareOf({ key, value }: StoreRequest["guards"][number], context: TransactionContext): EtcdCompare {
  const { keyspace, kept, guards } = context;
  if (!guards.fenceOnValue && key === "/append") {
    const revision = kept.get("/controller")?.createRevision ?? 0n;
    return { target: "createRevision", key: keyspace.toEtcd("/controller"), revision };
  }
  if (value === undefined) return { target: "createRevision", key: keyspace.toEtcd(key), revision: 0n };
  return { target: "value", key: keyspace.toEtcd(key), value };
}

/**
 * A put that was stuck while its sender got another lease must not bind the key to the old one again: the value may be the
 * same, so it compares the revision of what it replaces.
 */
function leaseGuards(changes: readonly StoreChange[], context: TransactionContext): readonly EtcdCompare[] {
  if (!context.guards.guardLeasePuts) return [];
  return changes.flatMap((change) => {
    const found = change.ephemeral === true ? context.kept.get(change.key) : undefined;
    if (found === undefined) return [];
    const key = context.keyspace.toEtcd(change.key);
    return [{ target: "modRevision", key, revision: found.modRevision } as const];
  });
}

function operationOf(change: StoreChange, { keyspace, lease }: TransactionContext): EtcdOperation {
  const key = keyspace.toEtcd(change.key);
  if (change.kind === "delete") return { kind: "delete", key };
  return { kind: "put", key, value: change.value, lease: change.ephemeral === true ? lease : noLease };
}
