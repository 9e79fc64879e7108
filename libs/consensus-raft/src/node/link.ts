/**
 * The store as a candidate has it: the sessions of this node, one behind the other.
 *
 * | a session is lost when                                              | its keys              |
 * |---------------------------------------------------------------------|-----------------------|
 * | the log says that it ended                                          | are deleted with it   |
 * | this node may no longer lead, while its candidate leads (C4)        | stay: it goes on with |
 * |                                                                     | the same session      |
 *
 * Nothing else ends one: who cannot reach a leader waits.
 */
import {
  type CandidateStanding,
  type ClaimRight,
  type ElectedTerm,
  LinkLostError,
  type SessionHandlers,
  type StoreLink,
  type StoreSession,
} from "@tidemark/consensus";
import type { Revision } from "@tidemark/ids";
import { delay, randomUuid } from "@tidemark/runtime";
import type { RaftNode } from "./node.ts";
import { readRevision, submit } from "./submit.ts";

/** How many batches go into one entry of the log. */
const batchesMax = 256;

/** What one candidate needs of its node. */
export interface NodeLink {
  readonly link: StoreLink;
  readonly right: ClaimRight;
}

interface State {
  readonly node: RaftNode;
  /** The session in the log. Undefined: none was opened, or it ended. */
  session: string | undefined;
  current: Current | undefined;
  standing: CandidateStanding;
  closed: boolean;
  onRight: () => void;
}

/** What the candidate was given. */
interface Current {
  readonly session: string;
  readonly handlers: SessionHandlers;
  readonly ended: AbortController;
}

/** For the one candidate of the node's process. */
export function createNodeLink(node: RaftNode): NodeLink {
  const state: State = {
    node,
    session: undefined,
    current: undefined,
    standing: "outside",
    closed: false,
    onRight: () => {},
  };
  node.setCandidate({
    standing: () => (state.closed ? "outside" : state.standing),
    isLive: (session) => !state.closed && session === state.session,
    onLease(before) {
      if (before !== undefined && state.standing === "leading") lose(state, "this node may no longer lead");
      state.onRight();
    },
    onFailed: (message) => state.current?.handlers.onFailed(message),
  });
  node.applier.setFollower({
    onFeed: (feed) => state.current?.handlers.onFeed(feed),
    onSessionEnded(session) {
      if (session !== state.session) return;
      state.session = undefined;
      lose(state, "the session expired");
    },
  });
  return {
    link: { connect: (from, handlers, signal) => connect(state, from, { handlers, signal }) },
    right: {
      term(): ElectedTerm | undefined {
        const term = node.lease.term();
        return term === undefined ? undefined : { term, overLeaders: true };
      },
      onChange(changed) {
        state.onRight = changed;
      },
      report(standing) {
        state.standing = standing;
      },
    },
  };
}

async function connect(
  state: State,
  from: Revision | undefined,
  { handlers, signal }: { readonly handlers: SessionHandlers; readonly signal: AbortSignal },
): Promise<StoreSession> {
  const session = await openSession(state, signal).catch((error: unknown) => {
    // The candidate was closed before it had a session.
    if (signal.aborted) state.closed = true;
    throw error;
  });
  const current: Current = { session, handlers, ended: new AbortController() };
  for (const feed of state.node.applier.missedSince(from)) handlers.onFeed(feed);
  state.current = current;
  const failure = state.node.failure();
  if (failure !== undefined) handlers.onFailed(failure);
  return {
    batchesMax,
    request: (request) => submit(state.node, { kind: "request", session, request }, current.ended.signal),
    read: () => readRevision(state.node, current.ended.signal),
    close: () => closeSession(state, current),
  };
}

/** The session that this candidate has already, where the log did not end it; another one otherwise. */
async function openSession(state: State, signal: AbortSignal): Promise<string> {
  const { node } = state;
  for (;;) {
    signal.throwIfAborted();
    if (node.failure() !== undefined) return state.session ?? "";
    // What this node has may be old: the session is looked for behind what was committed by now.
    if (!(await isUpToDate(node, signal))) continue;
    if (state.session !== undefined && node.replica.sessions().has(state.session)) return state.session;
    const session = randomUuid(node.runtime.random);
    state.session = session;
    try {
      await submit(node, { kind: "openSession", session, node: node.id }, signal);
    } catch (error) {
      // Opened or not: the next look tells.
      if (!(error instanceof LinkLostError)) throw error;
    }
  }
}

async function isUpToDate(node: RaftNode, signal: AbortSignal): Promise<boolean> {
  try {
    await readRevision(node, signal);
    return true;
  } catch (error) {
    if (error instanceof LinkLostError) return false;
    throw error;
  }
}

function lose(state: State, cause: string): void {
  const { current } = state;
  if (current === undefined) return;
  state.current = undefined;
  current.ended.abort();
  current.handlers.onLost(cause);
}

/** Ends the session where a leader can be reached, and leaves it to the leader's watch where not. */
async function closeSession(state: State, current: Current): Promise<void> {
  const { node } = state;
  state.closed = true;
  if (state.current === current) state.current = undefined;
  current.ended.abort();
  node.applier.setFollower(undefined);
  node.setCandidate(undefined);
  if (node.raft.status().leader === undefined) return;
  const giveUp = new AbortController();
  const ending = submit(node, { kind: "endSession", session: current.session }, giveUp.signal).catch(
    (error: unknown) => {
      if (!(error instanceof LinkLostError)) throw error;
    },
  );
  const waited = delay(node.runtime.scheduler, 2 * node.durations.electionTimeoutMs, giveUp.signal).catch(() => {});
  await Promise.race([ending, waited]);
  giveUp.abort();
}
