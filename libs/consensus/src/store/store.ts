/**
 * The store of the twin and of the single-node backend: one tree, one order, one request at a time. What tells the two
 * apart is the journal.
 *
 * 1. A request is judged against committed state, written, and only then applied, told to every session and answered:
 *    nobody ever sees what is not durable (C8).
 * 2. A guard that does not hold refuses the whole request (C5); so does an ephemeral put of a session that has ended.
 * 3. After a failed write that may have left something behind, nothing is written any more (C6): the request's outcome
 *    is unknown and every other one is refused.
 */
import { revision as toRevision } from "@tidemark/ids";
import type { Clock } from "@tidemark/runtime";
import { detached } from "../detached.ts";
import type { EventSink } from "../events.ts";
import { createHistory, type History } from "./history.ts";
import type { Journal, JournalOutcome } from "./journal.ts";
import { createSerialQueue, type SerialQueue } from "./serial-queue.ts";
import type { CommittedBatch, SessionHandlers, StoreAnswer, StoreLink, StoreRequest } from "./store-link.ts";
import { createTree, type StoreContent, type Tree } from "./tree.ts";

export interface Store extends StoreLink {
  /** Forgets the history, so that a session that resumes behind it gets a snapshot, and cuts the journal short. */
  compact(): Promise<void>;
  /** Waits for the requests under way. Sessions are to be closed before. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly onEvent: EventSink;
  /** Defaults to an empty tree. Keys that are held in it are deleted first. */
  readonly content?: StoreContent;
}

interface Session {
  readonly handlers: SessionHandlers;
  alive: boolean;
}

type Owner = Session | "earlier life" | "nobody";

interface StoreState {
  readonly options: StoreOptions;
  readonly tree: Tree<Owner>;
  readonly history: History;
  readonly sessions: Set<Session>;
  readonly queue: SerialQueue;
  /** Whose keys could not be deleted yet, for want of space. */
  readonly unreleased: Set<Owner>;
  /** Why the store takes nothing more. */
  failure: string | undefined;
}

export function createStore(options: StoreOptions): Store {
  const content = options.content ?? { revision: toRevision(0n), entries: new Map() };
  const state: StoreState = {
    options,
    tree: createTree<Owner>(content, "earlier life"),
    history: createHistory(content.revision),
    sessions: new Set(),
    queue: createSerialQueue(async () => {
      if (state.failure === undefined) heed(state, await options.journal.idle());
    }),
    unreleased: new Set(),
    failure: undefined,
  };
  detached(state.queue.run(() => release(state, "earlier life")));

  return {
    async connect(from, handlers, signal) {
      signal.throwIfAborted();
      const session: Session = { handlers, alive: true };
      begin(state, session, from);
      return {
        batchesMax: 256,
        request: (request) => state.queue.run(() => carryOut(state, session, request)),
        read: async () => state.tree.revision(),
        async close() {
          session.alive = false;
          await state.queue.run(() => release(state, session));
          state.sessions.delete(session);
        },
      };
    },
    compact: () => state.queue.run(() => compact(state)),
    async close() {
      await state.queue.drained();
      await options.journal.close();
    },
  };
}

function begin(state: StoreState, session: Session, from: Parameters<Store["connect"]>[0]): void {
  const { tree, history, failure } = state;
  const { onFeed, onFailed } = session.handlers;
  const missed = from === undefined ? undefined : history.after(from);
  if (missed === undefined) onFeed({ kind: "snapshot", revision: tree.revision(), entries: new Map(tree.entries()) });
  else for (const batch of missed) onFeed({ kind: "batch", batch });
  state.sessions.add(session);
  if (failure !== undefined) onFailed(failure);
}

async function carryOut(state: StoreState, session: Session, request: StoreRequest): Promise<StoreAnswer> {
  for (const owner of [...state.unreleased]) await release(state, owner);
  if (state.failure !== undefined) return { kind: "failed", message: state.failure };
  const binds = request.batches.some((changes) => changes.some((change) => change.ephemeral));
  if (binds && !session.alive) return { kind: "sessionEnded" };
  if (!state.tree.accepts(request)) return { kind: "conflict" };
  const answer = await commit(state, state.tree.stamp(request.batches), session);
  if (state.options.journal.wantsCompaction()) await compact(state);
  return answer;
}

async function commit(state: StoreState, batches: readonly CommittedBatch[], owner: Owner): Promise<StoreAnswer> {
  const { journal, clock, onEvent } = state.options;
  const startedMs = clock.monotonicMs();
  const outcome = await journal.write(batches);
  heed(state, outcome);
  if (outcome.kind === "failed") return { kind: "unknown", message: outcome.message };
  if (outcome.kind === "noSpace") return outcome;
  for (const batch of batches) {
    state.tree.apply(batch, owner);
    state.history.add(batch);
    for (const session of state.sessions) session.handlers.onFeed({ kind: "batch", batch });
  }
  const revision = state.tree.revision();
  onEvent({ kind: "committed", revision, batches: batches.length, ms: clock.monotonicMs() - startedMs });
  return { kind: "committed", revisions: batches.map((batch) => batch.revision) };
}

/** Deletes the keys that are bound to `owner`, as an ordinary batch (C7). */
async function release(state: StoreState, owner: Owner): Promise<void> {
  state.unreleased.delete(owner);
  const keys = state.tree.keysOf(owner);
  if (keys.length === 0 || state.failure !== undefined) return;
  const batches = state.tree.stamp([keys.map((key) => ({ kind: "delete", key }))]);
  const answer = await commit(state, batches, "nobody");
  if (answer.kind === "committed") state.options.onEvent({ kind: "sessionEnded", keys });
  else if (answer.kind === "noSpace") state.unreleased.add(owner);
}

async function compact(state: StoreState): Promise<void> {
  if (state.failure !== undefined) return;
  state.history.forget();
  heed(state, await state.options.journal.compact(state.tree.revision(), state.tree.entries()));
}

function heed(state: StoreState, outcome: JournalOutcome): void {
  const { onEvent } = state.options;
  if (outcome.kind === "noSpace") onEvent({ kind: "spaceExhausted", message: outcome.message });
  if (outcome.kind !== "failed" || state.failure !== undefined) return;
  state.failure = outcome.message;
  onEvent({ kind: "storageFailed", message: outcome.message });
  for (const session of state.sessions) session.handlers.onFailed(outcome.message);
}
