/**
 * Looks on while whole nodes run, each with its driver, disk and network, and holds what they do against what the cluster
 * may know only once. It is told by each node what `ready()` said, before that is done, and what is flushed.
 *
 * | invariant                     | promise                                                                             |
 * |-------------------------------|-------------------------------------------------------------------------------------|
 * | those of `ledger.ts`          | election safety, log matching, leader completeness, state machine safety, commit monotonic |
 * | those of `promises.ts`        | no send before persist, snapshot covers log start, commit has a quorum, committed entries stay |
 * | nothing flushed is forgotten  | a node starts with the term, the vote and the entries that it had flushed             |
 * | leases do not overlap         | nobody may believe that it leads while another may, unless that one was deposed on purpose |
 *
 * A broken one is thrown as a Violation.
 */
import type { RaftEvent } from "../events.ts";
import { type LogIndex, logIndex, type NodeId, type Term } from "../ids.ts";
import type { Membership } from "../membership.ts";
import { majorityOf } from "../quorum.ts";
import type { FlushToken, Ready, Write } from "../ready.ts";
import type { SnapshotMeta, StartState } from "../start-state.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { applyWrite, copyImage, entryAt, isLast, type LogImage, membershipOf, sameEntry } from "./log-image.ts";
import { checkDisk, checkSend, holdsEntry } from "./promises.ts";
import { check } from "./violation.ts";

/** One life of a node. */
export interface NodeWatch {
  /** What is to be done next. */
  onReady(ready: Ready): void;
  /** This write, and all before it, are flushed. */
  onFlushed(token: FlushToken): void;
  /** A snapshot of the node's own is flushed. */
  onSnapshot(meta: SnapshotMeta): void;
  /** Everything up to `index` is applied; `digest` stands for the state that it made. */
  onApplied(index: LogIndex, digest: () => number): void;
  /** The node may believe from now on that it leads `term`. */
  onLeaseBegun(term: number): void;
  /** The process is gone. */
  ended(): void;
}

export interface RaftWatch {
  /** `believes`: the term which the node may believe that it leads, at any later moment. Undefined: none. */
  opened(id: NodeId, start: StartState, believes: () => number | undefined): NodeWatch;
  /** Terms that had a leader. */
  elections(): number;
  committed(): LogIndex;
  /** Who leads, by the newest term. Undefined: nobody that runs. */
  leader(): NodeId | undefined;
  /** The membership, where its change is committed and every voter runs and has it. Undefined: it is on its way. */
  settledMembership(): Membership | undefined;
}

/** What is known of the node that has, or had, this disk. */
interface Seen {
  readonly id: NodeId;
  readonly believes: () => number | undefined;
  readonly written: LogImage;
  readonly durable: LogImage;
  readonly pending: Write[];
  term: Term;
  isLeader: boolean;
  committed: LogIndex;
  isAlive: boolean;
}

interface State {
  readonly ledger: Ledger;
  readonly nodes: Map<NodeId, Seen>;
  /** Terms whose leader was made so on purpose, or by the evidence that its predecessor is gone. */
  readonly deposing: Set<number>;
  readonly digests: Map<LogIndex, number>;
  lives: number;
}

/** A state is compared at every so many entries: to digest it takes longer than to apply an entry. */
const entriesPerDigest = 32;

/** Formatting makes a state at index 1. */
export function createRaftWatch(): RaftWatch {
  const state: State = {
    ledger: createLedger(logIndex(1)),
    nodes: new Map(),
    deposing: new Set(),
    digests: new Map(),
    lives: 0,
  };
  return {
    opened: (id, start, believes) => open(state, id, start, believes),
    elections: () => state.ledger.elections(),
    committed: () => state.ledger.committed(),
    leader() {
      const leading = [...state.nodes.values()].filter(({ isLeader }) => isLeader);
      return leading.toSorted((left, right) => right.term - left.term)[0]?.id;
    },
    settledMembership: () => settledMembership(state),
  };
}

function settledMembership({ nodes, ledger }: State): Membership | undefined {
  const alive = [...nodes.values()].filter(({ isAlive }) => isAlive);
  const newest = alive.toSorted((left, right) => newestIndex(right.written) - newestIndex(left.written))[0];
  if (newest === undefined || newestIndex(newest.written) > ledger.committed()) return undefined;
  const membership = membershipOf(newest.written);
  const has = ({ written }: Seen) => newestIndex(written) === newestIndex(newest.written);
  const isSettled = membership.voters.every(({ id }) => alive.some((node) => node.id === id && has(node)));
  return isSettled ? membership : undefined;
}

/** Where the newest membership stands. It may have stood there before the snapshot that holds it. */
function newestIndex({ entries, snapshot }: LogImage): number {
  return entries.findLast(({ kind }) => kind === "membership")?.index ?? snapshot.meta.index;
}

function open(state: State, id: NodeId, start: StartState, believes: () => number | undefined): NodeWatch {
  const image: LogImage = {
    hardState: start.hardState,
    snapshot: { meta: start.snapshot },
    first: start.entries[0]?.index ?? logIndex(start.snapshot.index + 1),
    entries: [...start.entries],
  };
  checkDisk(id, image);
  const before = state.nodes.get(id);
  if (before !== undefined) checkRemembers(before, image);
  const life = state.lives++;
  const seen: Seen = {
    id,
    believes,
    written: image,
    durable: copyImage(image),
    pending: [],
    term: start.hardState.term,
    isLeader: false,
    committed: start.snapshot.index,
    isAlive: true,
  };
  state.nodes.set(id, seen);
  return {
    onReady: (ready) => look(state, seen, life, ready),
    onFlushed({ write }) {
      while (seen.pending[0] !== undefined && seen.pending[0].token.write <= write) {
        const [flushed] = seen.pending.splice(0, 1);
        if (flushed !== undefined) applyWrite(seen.durable, flushed, restoredBy(flushed));
      }
      checkDisk(id, seen.durable);
    },
    onSnapshot(meta) {
      for (const each of [seen.written, seen.durable])
        if (meta.index > each.snapshot.meta.index) each.snapshot = { meta };
    },
    onApplied: (index, digest) => checkApplied(state, id, index, digest),
    onLeaseBegun: (term) => checkLease(state, id, term),
    ended() {
      seen.isAlive = false;
      seen.isLeader = false;
    },
  };
}

function look(state: State, seen: Seen, life: number, { write, events, messages }: Ready): void {
  if (write !== undefined) {
    const [first] = write.entries;
    if (first !== undefined) {
      const previous = entryAt(seen.written, first.index - 1) ?? seen.written.snapshot.meta;
      state.ledger.wrote(previous, write.entries);
    }
    seen.pending.push(write);
    applyWrite(seen.written, write, restoredBy(write));
    checkDisk(seen.id, seen.written);
  }
  for (const event of events) observe(state, seen, life, event);
  for (const message of messages) checkSend(message, seen.durable);
}

function restoredBy({ snapshotChunks }: Write): { readonly meta: SnapshotMeta } | undefined {
  const last = snapshotChunks.findLast((chunk) => isLast(chunk));
  return last === undefined ? undefined : { meta: last.snapshot };
}

function observe(state: State, seen: Seen, life: number, event: RaftEvent): void {
  switch (event.kind) {
    case "becameFollower":
      seen.term = event.term;
      seen.isLeader = false;
      return;
    case "becameCandidate":
      seen.term = event.term;
      seen.isLeader = false;
      if (event.cause !== "timeout") state.deposing.add(event.term);
      return;
    case "becameLeader":
      seen.isLeader = true;
      return state.ledger.leads(seen.id, life, event.term, seen.written);
    case "committed":
      return commits(state, seen, event.from, event.to);
    case "snapshotReceived":
      seen.committed = event.snapshot.index;
      return;
    case "cut":
      check(
        event.from > seen.committed,
        "committed entries stay",
        () => `${seen.id} cuts from ${event.from}, committed is ${seen.committed}`,
      );
      return;
    default:
  }
}

function commits(state: State, seen: Seen, from: LogIndex, to: LogIndex): void {
  const { id, written, committed, term } = seen;
  const follows = from === committed + 1 && to >= from;
  check(follows, "commit monotonic", () => `${id} commits ${from} to ${to} after ${committed}`);
  seen.committed = to;
  if (seen.isLeader) checkHasQuorum(state, seen, to);
  state.ledger.commits(id, written, from, to, term);
}

function checkHasQuorum(state: State, { id, written }: Seen, to: LogIndex): void {
  const last = entryAt(written, to);
  if (last === undefined) return;
  const { voters } = membershipOf(written);
  const flushed = voters.filter((voter) => {
    const node = state.nodes.get(voter.id);
    return node !== undefined && holdsEntry(node.durable, last);
  });
  check(
    flushed.length >= majorityOf(voters.length),
    "commit has a quorum",
    () => `${id} commits ${to}, which ${flushed.length} of ${voters.length} voters have flushed`,
  );
}

/** An unflushed write may be there or not; what it would take the place of is as uncertain. */
function checkRemembers({ id, durable, pending }: Seen, image: LogImage): void {
  const { term, votedFor } = durable.hardState;
  const isKept =
    image.hardState.term > term ||
    (image.hardState.term === term && (votedFor === undefined || image.hardState.votedFor === votedFor));
  check(
    isKept,
    "nothing flushed is forgotten",
    () => `${id} had flushed its vote of term ${term} for ${votedFor ?? "nobody"}`,
  );
  if (pending.some((write) => restoredBy(write) !== undefined)) return;
  const certain = Math.min(...pending.map(({ entries }) => entries[0]?.index ?? Number.POSITIVE_INFINITY));
  for (const entry of durable.entries) {
    if (entry.index >= certain || entry.index <= image.snapshot.meta.index) continue;
    const found = entryAt(image, entry.index);
    check(
      found !== undefined && sameEntry(found, entry),
      "nothing flushed is forgotten",
      () => `${id} had flushed the entry ${entry.index} of term ${entry.term}`,
    );
  }
}

function checkApplied({ ledger, digests }: State, id: NodeId, index: LogIndex, digest: () => number): void {
  check(index <= ledger.committed(), "state machine safety", () => `${id} applies ${index}, which nobody committed`);
  if (index % entriesPerDigest !== 0) return;
  const own = digest();
  const known = digests.get(index);
  if (known === undefined) digests.set(index, own);
  else check(own === known, "state machine safety", () => `${id} has another state at ${index}`);
}

function checkLease({ nodes, deposing }: State, id: NodeId, term: number): void {
  if (deposing.has(term)) return;
  for (const other of nodes.values()) {
    if (other.id === id || !other.isAlive) continue;
    const believed = other.believes();
    check(
      believed === undefined,
      "leases do not overlap",
      () => `${id} leads term ${term}, and ${other.id} may still believe that it leads term ${String(believed)}`,
    );
  }
}
