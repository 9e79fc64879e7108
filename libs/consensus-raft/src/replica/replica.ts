/**
 * The store as every member has it: the keys, the sessions, and who bound the ephemeral keys. It changes by committed
 * commands alone, each decided by what was committed before it, so that all members have the same.
 *
 * 1. A request is carried out if all its guards hold, and as a whole (C1, C5).
 * 2. An ephemeral put of a session that has ended refuses its whole request, however late it arrives (C7).
 * 3. The end of a session deletes what is bound to it, as an ordinary batch (C7).
 * 4. A node has one session: another one ends those of its earlier lives.
 */
import type { CommittedBatch, StoreAnswer, StoreChange, StoredValue, StoreRequest } from "@tidemark/consensus";
import { sameBytes } from "@tidemark/consensus/store";
import { type Revision, revision as toRevision } from "@tidemark/ids";
import type { NodeId } from "@tidemark/raft";
import type { Command } from "./commands.ts";

/** A value with the session that it is bound to. */
export interface OwnedValue {
  readonly value: Uint8Array;
  readonly session: string | undefined;
}

export interface ReplicaContent {
  readonly revision: Revision;
  readonly entries: ReadonlyMap<string, OwnedValue>;
  /** The node of each session. */
  readonly sessions: ReadonlyMap<string, NodeId>;
}

/** What a command led to. */
export interface Applied {
  readonly answer: StoreAnswer;
  readonly batches: readonly CommittedBatch[];
  readonly ended: readonly EndedSession[];
}

export interface EndedSession {
  readonly session: string;
  readonly keys: readonly string[];
}

export interface Replica {
  apply(command: Command): Applied;
  revision(): Revision;
  get(key: string): OwnedValue | undefined;
  sessions(): ReadonlyMap<string, NodeId>;
  /** As a session follows it. A copy. */
  entries(): ReadonlyMap<string, StoredValue>;
  /** The keys that are bound to a session. */
  keysOf(session: string): readonly string[];
  /** For a snapshot: not to be kept over the next command. */
  content(): ReplicaContent;
  /** Takes the place of everything. */
  restore(content: ReplicaContent): void;
}

export const emptyReplica: ReplicaContent = { revision: toRevision(0n), entries: new Map(), sessions: new Map() };

interface State {
  revision: Revision;
  entries: Map<string, OwnedValue>;
  sessions: Map<string, NodeId>;
  /** The keys that are bound to each session. */
  readonly bound: Map<string, Set<string>>;
}

export function createReplica(): Replica {
  const state: State = { revision: emptyReplica.revision, entries: new Map(), sessions: new Map(), bound: new Map() };
  return {
    apply: (command) => apply(state, command),
    revision: () => state.revision,
    get: (key) => state.entries.get(key),
    sessions: () => state.sessions,
    entries: () =>
      new Map([...state.entries].map(([key, { value, session }]) => [key, { value, held: session !== undefined }])),
    keysOf: (session) => [...(state.bound.get(session) ?? [])],
    content: () => ({ revision: state.revision, entries: state.entries, sessions: state.sessions }),
    restore({ revision, entries, sessions }) {
      state.revision = revision;
      state.entries = new Map(entries);
      state.sessions = new Map(sessions);
      state.bound.clear();
      for (const [key, { session }] of entries) bind(state, key, session);
    },
  };
}

function apply(state: State, command: Command): Applied {
  switch (command.kind) {
    case "request":
      return carryOut(state, command.session, command.request);
    case "openSession": {
      const { session, node } = command;
      const earlier = [...state.sessions].filter(([id, of]) => of === node && id !== session).map(([id]) => id);
      const applied = endSessions(state, earlier);
      state.sessions.set(session, node);
      return applied;
    }
    case "endSession":
      return endSessions(state, state.sessions.has(command.session) ? [command.session] : []);
  }
}

function carryOut(state: State, session: string, { guards, batches }: StoreRequest): Applied {
  const binds = batches.some((changes) => changes.some((change) => change.kind === "put" && change.ephemeral));
  if (binds && !state.sessions.has(session)) return refused({ kind: "sessionEnded" });
  if (!guards.every(({ key, value }) => sameBytes(state.entries.get(key)?.value, value))) {
    return refused({ kind: "conflict" });
  }
  const committed = batches.map((changes) => commit(state, changes, session));
  return {
    answer: { kind: "committed", revisions: committed.map(({ revision }) => revision) },
    batches: committed,
    ended: [],
  };
}

function endSessions(state: State, sessions: readonly string[]): Applied {
  const ended = sessions.map((session) => ({ session, keys: [...(state.bound.get(session) ?? [])] }));
  for (const session of sessions) state.sessions.delete(session);
  const batches = ended
    .filter(({ keys }) => keys.length > 0)
    .map(({ keys }) =>
      commit(
        state,
        keys.map((key) => ({ kind: "delete", key })),
        undefined,
      ),
    );
  return { answer: { kind: "committed", revisions: batches.map(({ revision }) => revision) }, batches, ended };
}

/** Makes a batch of the changes that take effect: the deletion of an absent key does not. */
function commit(state: State, changes: readonly StoreChange[], session: string | undefined): CommittedBatch {
  state.revision = toRevision(state.revision + 1n);
  const effective = changes.filter((change) => {
    unbind(state, change.key);
    if (change.kind === "delete") return state.entries.delete(change.key);
    const owner = change.ephemeral ? session : undefined;
    state.entries.set(change.key, { value: change.value, session: owner });
    bind(state, change.key, owner);
    return true;
  });
  return { revision: state.revision, changes: effective };
}

function bind({ bound }: State, key: string, session: string | undefined): void {
  if (session === undefined) return;
  const keys = bound.get(session);
  if (keys === undefined) bound.set(session, new Set([key]));
  else keys.add(key);
}

function unbind({ entries, bound }: State, key: string): void {
  const session = entries.get(key)?.session;
  if (session === undefined) return;
  const keys = bound.get(session);
  keys?.delete(key);
  if (keys?.size === 0) bound.delete(session);
}

function refused(answer: StoreAnswer): Applied {
  return { answer, batches: [], ended: [] };
}
