/** One session of a candidate on etcd: a lease, a feed, and the requests under them. */
import {
  LinkLostError,
  type SessionHandlers,
  type StoreAnswer,
  type StoreFeed,
  type StoreRequest,
  type StoreSession,
} from "@tidemark/consensus";
import { createSignal, type Signal } from "@tidemark/consensus/store";
import { type Revision, revision as toRevision } from "@tidemark/ids";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import type { Feed } from "./feed.ts";
import type { Lease } from "./lease.ts";
import type { LinkParts } from "./link-parts.ts";
import { EtcdError, noLease, type TxnResponse } from "./stubs.ts";
import { transactionOf } from "./transaction.ts";

export interface LinkSession extends StoreSession {
  /** Aborted when the session is over. */
  readonly signal: AbortSignal;
  leased(lease: Lease): void;
  fed(feed: Feed): void;
  /** It stands: from now on its loss is told. */
  begin(): void;
  /** Undefined before there is one, and when the session is over. */
  lease(): Lease | undefined;
  /** Takes what the feed tells, and hands it on. */
  readonly onFeed: (feed: StoreFeed) => void;
  /** Up to where its handlers were told. */
  toldUpTo(): Revision | undefined;
  /** Resolves when the condition holds, which is looked at whenever the feed told something. Rejects with LinkLostError. */
  told(condition: () => boolean): Promise<void>;
  lose(cause: string): void;
  isLost(): boolean;
}

interface SessionState {
  readonly parts: LinkParts;
  readonly handlers: SessionHandlers;
  readonly over: AbortController;
  /** Rejected when the session is over. */
  readonly lost: Deferred<never>;
  readonly changed: Signal;
  lease: Lease | undefined;
  feed: Feed | undefined;
  hasBegun: boolean;
  toldUpTo: Revision | undefined;
  /** The newest request: they are carried out in the order of the calls. */
  last: Promise<unknown>;
}

/** `from`: up to where the handlers were told by sessions before. */
export function createSession(parts: LinkParts, handlers: SessionHandlers, from: Revision | undefined): LinkSession {
  const state: SessionState = {
    parts,
    handlers,
    over: new AbortController(),
    lost: createDeferred<never>(),
    changed: createSignal(),
    lease: undefined,
    feed: undefined,
    hasBegun: false,
    toldUpTo: from,
    last: Promise.resolve(),
  };
  state.lost.promise.catch(() => undefined);
  const isLost = () => state.over.signal.aborted;
  return {
    batchesMax: 1,
    signal: state.over.signal,
    isLost,
    leased(lease) {
      state.lease = lease;
      if (isLost()) lease.end();
    },
    fed(feed) {
      state.feed = feed;
      if (isLost()) feed.close();
    },
    begin() {
      state.hasBegun = true;
    },
    lease: () => (isLost() ? undefined : state.lease),
    onFeed(feed) {
      if (isLost()) return;
      state.toldUpTo = feed.kind === "snapshot" ? feed.revision : feed.batch.revision;
      handlers.onFeed(feed);
      state.changed.notify();
    },
    toldUpTo: () => state.toldUpTo,
    told: (condition) => told(state, condition),
    lose: (cause) => lose(state, cause),
    request: (request) => inTurn(state, () => carryOut(state, request)),
    read: () => read(state),
    async close() {
      const { lease } = state;
      end(state, "the session was closed");
      if (lease !== undefined) await revoke(state, lease);
    },
  };
}

function lose(state: SessionState, cause: string): void {
  if (state.over.signal.aborted) return;
  end(state, cause);
  if (state.hasBegun) state.handlers.onLost(cause);
}

function end(state: SessionState, cause: string): void {
  state.over.abort(new LinkLostError(cause));
  state.lease?.end();
  state.feed?.close();
  state.lost.reject(new LinkLostError(cause));
  state.changed.notify();
}

/** One attempt: what cannot be reached lets the lease go by itself. */
async function revoke({ parts }: SessionState, { id }: Lease): Promise<void> {
  parts.abandoned.delete(id);
  try {
    await parts.calls.once((stubs) => stubs.leaseRevoke(id), new AbortController().signal);
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
  }
}

/** Behind the requests before. Whatever became of them, this one is carried out, or lost with the session. */
function inTurn<Value>(state: SessionState, task: () => Promise<Value>): Promise<Value> {
  const run = async () => {
    state.over.signal.throwIfAborted();
    return task();
  };
  const result = state.last.then(run, run);
  state.last = result.catch(() => undefined);
  return Promise.race([result, state.lost.promise]);
}

async function carryOut(state: SessionState, request: StoreRequest): Promise<StoreAnswer> {
  const { calls, keyspace, kept, runtime, guards, onEvent } = state.parts;
  const { clock } = runtime;
  const transaction = transactionOf(request, {
    keyspace,
    kept,
    lease: state.lease?.id ?? noLease,
    guards,
  });
  const startedMs = clock.monotonicMs();
  const seen = state.toldUpTo;
  const report = (outcome: "committed" | "conflict" | EtcdError["code"], revision?: Revision) => {
    const operations = transaction.compares.length + transaction.success.length;
    onEvent({ kind: "transaction", operations, outcome, revision, ms: clock.monotonicMs() - startedMs });
  };
  try {
    const answer = await calls.once((stubs) => stubs.txn(transaction), state.over.signal);
    refuseRegressed(state, { seen, found: answer.revision });
    const revision = toRevision(answer.revision);
    report(answer.succeeded ? "committed" : "conflict", answer.succeeded ? revision : undefined);
    return answer.succeeded ? { kind: "committed", revisions: [revision] } : { kind: "conflict" };
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    report(error.code);
    return answerOf(state, error);
  }
}

/** Throws LinkLostError where nobody knows whether the request was carried out. */
function answerOf(state: SessionState, error: EtcdError): StoreAnswer {
  switch (error.code) {
    case "NO_SPACE":
      return { kind: "noSpace", message: `etcd has no space: ${error.message}` };
    case "LEASE_NOT_FOUND": {
      const cause = "etcd says that the lease is gone";
      if (state.lease !== undefined) state.parts.onEvent({ kind: "leaseLost", lease: state.lease.id, cause });
      lose(state, cause);
      return { kind: "sessionEnded" };
    }
    case "REFUSED":
    case "DENIED":
    case "COMPACTED":
      return { kind: "refused", message: `etcd refused: ${error.message}` };
    case "LOST":
    case "MESSAGE_TOO_LARGE":
      throw new LinkLostError(error.message);
  }
}

/**
 * The revision of the newest change that was committed before the call to any key that candidates write: every append and
 * every claim writes `/append`. The revision of the store says nothing, since it may never show under the prefix.
 * Deletions leave no revision behind: where a key is gone that the feed has not told of yet, it is waited for.
 */
async function read(state: SessionState): Promise<Revision> {
  const { calls, keyspace, guards } = state.parts;
  const { fence, candidates } = keyspace;
  const ranges = [
    { kind: "range", ...fence },
    { kind: "range", ...candidates },
  ] as const;
  const reading = calls.patiently((stubs) => stubs.txn({ compares: [], success: ranges }), state.over.signal);
  const seen = state.toldUpTo;
  let answer: TxnResponse;
  try {
    answer = await Promise.race([reading, state.lost.promise]);
  } catch (error) {
    throw error instanceof EtcdError ? new LinkLostError(error.message) : error;
  }
  refuseRegressed(state, { seen, found: answer.revision });
  const found = answer.ranges.flat();
  const newest = found.reduce((most, { modRevision }) => (modRevision > most ? modRevision : most), 0n);
  if (!guards.awaitDeletions) return toRevision(newest);
  const isGone = deletionsIn(state, answer.revision, new Set(found.map(({ key }) => keyspace.fromEtcd(key))));
  if (isGone()) return toRevision(newest);
  await told(state, isGone);
  const upTo = state.toldUpTo ?? 0n;
  return toRevision(upTo > newest ? upTo : newest);
}

/** Whether every key that etcd had no more at `revision` is gone from what the feed told, too, or was written since. */
function deletionsIn(state: SessionState, revision: bigint, present: ReadonlySet<string>): () => boolean {
  const { kept } = state.parts;
  const gone = [...kept.entries()].filter(([key, { modRevision }]) => modRevision <= revision && !present.has(key));
  return () => gone.every(([key, before]) => kept.get(key)?.modRevision !== before.modRevision);
}

async function told(state: SessionState, condition: () => boolean): Promise<void> {
  while (!condition()) {
    state.over.signal.throwIfAborted();
    await state.changed.next(state.over.signal);
  }
}

/**
 * etcd was restored from a backup, or is another one: what this process knows is not what is there. `seen`: before the
 * call, since what came while it was under way may well be newer than its answer.
 */
function refuseRegressed(
  state: SessionState,
  { seen, found }: { readonly seen: Revision | undefined; readonly found: bigint },
): void {
  if (seen === undefined || found >= seen) return;
  state.parts.onEvent({ kind: "storeRegressed", seen, found: toRevision(found) });
  state.handlers.onFailed(
    `etcd is at revision ${found}, behind ${seen}, which was seen before: it was restored from a backup or replaced. Start this process again to read it anew`,
  );
}
