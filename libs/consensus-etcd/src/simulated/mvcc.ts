/**
 * etcd's key-value store in memory: keys with their revisions, the history of changes, and transactions. Time, leases and
 * the network are elsewhere.
 */
import {
  type EtcdChange,
  type EtcdCompare,
  EtcdError,
  type EtcdKey,
  type EtcdKeyValue,
  type EtcdOperation,
  type EtcdRange,
  type LeaseId,
  noLease,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
} from "../stubs.ts";

/** etcd's own defaults. */
const operationsMax = 128;
const requestBytesMax = 1.5 * 1024 * 1024;

/** All changes of one revision, in order. */
export interface StoreRevision {
  readonly revision: bigint;
  readonly changes: readonly EtcdChange[];
}

export interface Mvcc {
  revision(): bigint;
  /** History below it is gone. 0: all of it is there. */
  compacted(): bigint;
  range(request: RangeRequest): RangeResponse;
  /** `hasLease`: whether keys may be bound to it. Throws EtcdError where etcd takes no such transaction. */
  txn(request: TxnRequest, hasLease: (lease: LeaseId) => boolean): TxnResponse;
  /** In one revision, as when a lease ends. Nothing where none of them is there. */
  deleteKeys(keys: readonly EtcdKey[]): void;
  keysOf(lease: LeaseId): readonly EtcdKey[];
  compact(revision: bigint): void;
  /** From `revision` on, oldest first. */
  since(revision: bigint): readonly StoreRevision[];
}

interface MvccState {
  revision: bigint;
  compacted: bigint;
  readonly live: Map<EtcdKey, EtcdKeyValue>;
  /** As of the oldest revision that a range may still ask for. */
  base: Map<EtcdKey, EtcdKeyValue>;
  history: StoreRevision[];
}

/** An empty etcd is at revision 1. */
export function createMvcc(): Mvcc {
  const state: MvccState = { revision: 1n, compacted: 0n, live: new Map(), base: new Map(), history: [] };
  return {
    revision: () => state.revision,
    compacted: () => state.compacted,
    range: (request) => range(state, request),
    txn: (request, hasLease) => txn(state, request, hasLease),
    deleteKeys: (keys) => {
      const changes = keys.filter((key) => state.live.has(key)).map((key) => deletion(key, state.revision + 1n));
      commit(state, changes);
    },
    keysOf: (lease) => [...state.live.values()].flatMap((entry) => (entry.lease === lease ? [entry.key] : [])),
    compact(revision) {
      if (revision <= state.compacted) throw new EtcdError("COMPACTED", "required revision has been compacted");
      if (revision > state.revision) throw new EtcdError("REFUSED", "required revision is a future revision");
      for (const old of state.history) if (old.revision <= revision) applyTo(state.base, old.changes);
      // What the revision itself changed stays, for watches that come to it later.
      state.history = state.history.filter((entry) => entry.revision >= revision);
      state.compacted = revision;
    },
    // One entry for each revision.
    since: (revision) => state.history.slice(Math.max(0, Number(revision - (state.history[0]?.revision ?? 0n)))),
  };
}

function range(state: MvccState, request: RangeRequest): RangeResponse {
  const { revision } = request;
  if (revision !== undefined && revision < state.compacted) {
    throw new EtcdError("COMPACTED", "required revision has been compacted");
  }
  const all = within(revision === undefined ? state.live : asOf(state, revision), request);
  const { limit = all.length } = request;
  return { revision: state.revision, entries: all.slice(0, limit), more: all.length > limit };
}

function asOf(state: MvccState, revision: bigint): ReadonlyMap<EtcdKey, EtcdKeyValue> {
  const entries = new Map(state.base);
  for (const old of state.history) if (old.revision <= revision) applyTo(entries, old.changes);
  return entries;
}

function within(entries: ReadonlyMap<EtcdKey, EtcdKeyValue>, { key, rangeEnd }: EtcdRange): readonly EtcdKeyValue[] {
  const isWithin = (found: EtcdKey) => (rangeEnd === undefined ? found === key : found >= key && found < rangeEnd);
  return [...entries.values()]
    .filter((entry) => isWithin(entry.key))
    .sort((left, right) => (left.key < right.key ? -1 : 1));
}

function txn(state: MvccState, request: TxnRequest, hasLease: (lease: LeaseId) => boolean): TxnResponse {
  refuseTooMuch(request);
  if (!request.compares.every((compare) => holds(state, compare))) {
    return { revision: state.revision, succeeded: false, ranges: [] };
  }
  for (const operation of request.success) {
    if (operation.kind === "put" && operation.lease !== noLease && !hasLease(operation.lease)) {
      throw new EtcdError("LEASE_NOT_FOUND", "requested lease not found");
    }
  }
  const next = state.revision + 1n;
  commit(
    state,
    request.success.flatMap((operation) => changeOf(state, operation, next)),
  );
  const ranges = request.success.flatMap((operation) =>
    operation.kind === "range" ? [within(state.live, operation)] : [],
  );
  return { revision: state.revision, succeeded: true, ranges };
}

function refuseTooMuch({ compares, success }: TxnRequest): void {
  if (compares.length > operationsMax || success.length > operationsMax) {
    throw new EtcdError("REFUSED", "too many operations in txn request");
  }
  const changed = success.flatMap((operation) => (operation.kind === "range" ? [] : [operation.key]));
  if (new Set(changed).size < changed.length) throw new EtcdError("REFUSED", "duplicate key given in txn request");
  const bytes = success.reduce((sum, op) => sum + op.key.length + (op.kind === "put" ? op.value.length : 0), 0);
  if (bytes > requestBytesMax) throw new EtcdError("REFUSED", "request is too large");
}

/** A key that is not there has the revisions 0 and no value. */
function holds(state: MvccState, compare: EtcdCompare): boolean {
  const found = state.live.get(compare.key);
  switch (compare.target) {
    case "value":
      return found !== undefined && Buffer.compare(found.value, compare.value) === 0;
    case "createRevision":
      return (found?.createRevision ?? 0n) === compare.revision;
    case "modRevision":
      return (found?.modRevision ?? 0n) === compare.revision;
  }
}

function changeOf(state: MvccState, operation: EtcdOperation, revision: bigint): readonly EtcdChange[] {
  switch (operation.kind) {
    case "put": {
      const { key, value, lease } = operation;
      const createRevision = state.live.get(key)?.createRevision ?? revision;
      return [{ kind: "put", key, value, lease, createRevision, modRevision: revision }];
    }
    case "delete":
      return state.live.has(operation.key) ? [deletion(operation.key, revision)] : [];
    case "range":
      return [];
  }
}

function deletion(key: EtcdKey, modRevision: bigint): EtcdChange {
  return { kind: "delete", key, modRevision };
}

/** A transaction that changes nothing has no revision. */
function commit(state: MvccState, changes: readonly EtcdChange[]): void {
  if (changes.length === 0) return;
  state.revision += 1n;
  applyTo(state.live, changes);
  state.history.push({ revision: state.revision, changes });
}

function applyTo(entries: Map<EtcdKey, EtcdKeyValue>, changes: readonly EtcdChange[]): void {
  for (const change of changes) {
    if (change.kind === "put") entries.set(change.key, change);
    else entries.delete(change.key);
  }
}
