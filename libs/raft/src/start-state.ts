import type { Entry } from "./entry.ts";
import { indexAfter, type NodeId, noIndex, noTerm, type Position, type Term, term } from "./ids.ts";
import { type Member, type Membership, noMembership } from "./membership.ts";

/** What must be flushed before anything is said that follows from it (Raft figure 2, persistent state). */
export interface HardState {
  readonly term: Term;
  /** Whom this node voted for in `term`. */
  readonly votedFor: NodeId | undefined;
}

/** All up to `index`, as a state machine's state. */
export interface SnapshotMeta extends Position {
  /** The membership at `index`. */
  readonly membership: Membership;
  /** Of the state's bytes, which the driver keeps. */
  readonly sizeBytes: number;
}

/** What was found on disk. Nothing else makes a node: no default, no bootstrap. */
export interface StartState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta;
  /** In order and without gaps. May begin before the snapshot's end, never after the index that follows it. */
  readonly entries: readonly Entry[];
}

/** An empty disk: index 0. Such a node never votes and never campaigns; a leader that knows it as a learner fills it. */
export const blankStart: StartState = {
  hardState: { term: noTerm, votedFor: undefined },
  snapshot: { index: noIndex, term: noTerm, membership: noMembership, sizeBytes: 0 },
  entries: [],
};

/** What formatting writes once to the disk of every first voter: an empty state at index 1 of term 1. */
export function formattedStart(voters: readonly Member[]): StartState {
  if (voters.length === 0) throw new StartError("NO_VOTERS", "a cluster needs a first voter");
  if (new Set(voters.map((member) => member.id)).size !== voters.length) {
    throw new StartError("DUPLICATE_MEMBER", "two first voters have one directory id");
  }
  return {
    hardState: { term: term(1), votedFor: undefined },
    snapshot: { index: indexAfter(noIndex), term: term(1), membership: { voters, learners: [] }, sizeBytes: 0 },
    entries: [],
  };
}

/**
 * | reason           | cause                                                                   |
 * |------------------|-------------------------------------------------------------------------|
 * | NO_VOTERS        | formatted without a voter                                               |
 * | DUPLICATE_MEMBER | formatted with one directory id twice                                   |
 * | LOG_GAP          | an entry is missing, or terms fall: the log is damaged                   |
 * | TERM_FORGOTTEN   | the log or snapshot is of a later term than the hard state: the file that holds votes is older than the log |
 */
export type StartErrorReason = "NO_VOTERS" | "DUPLICATE_MEMBER" | "LOG_GAP" | "TERM_FORGOTTEN";

/** A disk that no node may start from. */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly reason: StartErrorReason;

  constructor(reason: StartErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The state to start from, checked: entries that the snapshot holds are left out, and so are all of them where they
 * contradict it (a crash between the writing of a received snapshot and the cut of the log).
 */
export function checkedStart(start: StartState): StartState {
  const { hardState, snapshot } = start;
  let previous: Position | undefined;
  for (const entry of start.entries) {
    const expected = previous === undefined ? undefined : indexAfter(previous.index);
    if (expected !== undefined && (entry.index !== expected || entry.term < (previous?.term ?? noTerm))) {
      throw new StartError("LOG_GAP", `entry ${entry.index} of term ${entry.term} follows ${describe(previous)}`);
    }
    previous = entry;
  }
  const first = start.entries[0];
  if (first !== undefined && first.index > snapshot.index + 1) {
    throw new StartError("LOG_GAP", `the log begins at ${first.index}, the snapshot ends at ${snapshot.index}`);
  }
  const entries = entriesAfter(snapshot, start.entries);
  const lastTerm = entries.at(-1)?.term ?? snapshot.term;
  if (lastTerm > hardState.term) {
    throw new StartError("TERM_FORGOTTEN", `the log is of term ${lastTerm}, the hard state of ${hardState.term}`);
  }
  return { hardState, snapshot, entries };
}

function entriesAfter(snapshot: SnapshotMeta, entries: readonly Entry[]): readonly Entry[] {
  const first = entries[0];
  if (first === undefined || first.index === snapshot.index + 1) return entries;
  const atSnapshot = entries[snapshot.index - first.index];
  if (atSnapshot?.term !== snapshot.term) return [];
  return entries.slice(snapshot.index - first.index + 1);
}

function describe(position: Position | undefined): string {
  return position === undefined ? "nothing" : `entry ${position.index} of term ${position.term}`;
}
