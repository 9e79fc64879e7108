import { type Branded, branded, type DirectoryId } from "@tidemark/ids";

const isWhole = (value: number) => Number.isSafeInteger(value) && value >= 0;

/** Counts elections. 0 before the first one. */
export type Term = Branded<number, "Term">;
export const term: (value: number) => Term = branded("Term", isWhole);

/** Position in the Raft log. The first entry has index 1; 0 stands before it. */
export type LogIndex = Branded<number, "LogIndex">;
export const logIndex: (value: number) => LogIndex = branded("LogIndex", isWhole);

/**
 * A member is known by the id of its disk, so that a process that comes back with an empty disk is another node: it has
 * forgotten its votes and its log, and must not stand in for the one that had them.
 */
export type NodeId = DirectoryId;

/** Where an entry stands, and which leader made it. Two entries with one position are the same entry (Raft 5.3). */
export interface Position {
  readonly index: LogIndex;
  readonly term: Term;
}

export const noTerm: Term = term(0);
export const noIndex: LogIndex = logIndex(0);

/** The index `distance` after `index`; before it when negative. */
export function indexAfter(index: LogIndex, distance = 1): LogIndex {
  return (index + distance) as LogIndex;
}

export function termAfter(before: Term): Term {
  return (before + 1) as Term;
}

/** Whether a log that ends at `left` is at least as up to date as one that ends at `right` (Raft 5.4.1). */
export function isUpToDate(left: Position, right: Position): boolean {
  return left.term > right.term || (left.term === right.term && left.index >= right.index);
}

export function samePosition(left: Position, right: Position): boolean {
  return left.index === right.index && left.term === right.term;
}
