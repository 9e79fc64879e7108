/**
 * Counting. Each function speaks of the voters that it is given and ignores what others did.
 *
 * 1. Any two majorities of one set share a voter.
 * 2. So do majorities of two sets that differ in one voter (Raft thesis 4.1).
 * 3. Nothing is a majority of nobody: a node without a membership decides nothing.
 */
import type { NodeId } from "./ids.ts";
import type { Member } from "./membership.ts";

/** How many of `voters` make a majority. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The greatest value that a majority of `voters` has reached. `-Infinity` when there is no voter.
 *
 * Insertion into one short array: it runs at each acknowledgement, and clusters have three to seven voters.
 */
export function reachedByMajority(voters: readonly Member[], valueOf: (id: NodeId) => number): number {
  return nthGreatest(
    voters.map((voter) => valueOf(voter.id)),
    majorityOf(voters.length),
  );
}

/** The `n`th greatest of `values`, counted from 1. `-Infinity` when there are fewer. */
export function nthGreatest(values: number[], n: number): number {
  values.sort((left, right) => right - left);
  return values[n - 1] ?? Number.NEGATIVE_INFINITY;
}

export type Tally = "won" | "lost" | "pending";

/** How an election stands. Lost: so many refused that no majority is left. */
export function tally(voters: readonly Member[], votes: ReadonlyMap<NodeId, boolean>): Tally {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter.id);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  const needed = majorityOf(voters.length);
  if (granted >= needed) return "won";
  return voters.length - refused < needed ? "lost" : "pending";
}
