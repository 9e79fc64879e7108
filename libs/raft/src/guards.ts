/**
 * The rules that can be switched off, each on its own, to see that the tests notice. All on in every real node.
 */
export interface Guards {
  /** Only entries of the leader's own term are committed by counting (Raft 5.4.2, figure 8). */
  readonly commitOnlyOwnTerm: boolean;
  /** A vote is part of what is persisted (Raft figure 2). */
  readonly persistVote: boolean;
  /** A vote, an acknowledgement and a request for votes leave only after the flush of what they rest on. */
  readonly answerAfterFlush: boolean;
  /** Nobody opens a term before a majority would vote for it (Raft thesis 9.6). */
  readonly preVote: boolean;
  /** A leader that has not heard from a majority for an election timeout steps down (Raft thesis 6.2). */
  readonly checkQuorum: boolean;
  /** A read waits until a majority has confirmed the leader after the read came (Raft thesis 6.4). */
  readonly readIndexRound: boolean;
  /** A received snapshot is acknowledged after its flush. */
  readonly snapshotAfterFlush: boolean;
  /** No membership change before an entry of the leader's own term is committed (Raft thesis 4.1, erratum of 2015). */
  readonly changeAfterOwnTermCommit: boolean;
  /** Learners count for no majority. */
  readonly learnersDoNotCount: boolean;
  /** An empty disk grants no vote, and no leader that counts on it may fill it. */
  readonly emptyDiskNeverVotes: boolean;
  /** Entries are cut where they conflict, never because a message is shorter, and never at or below the commit index. */
  readonly cutOnlyConflicts: boolean;
}

export const allGuards: Guards = {
  commitOnlyOwnTerm: true,
  persistVote: true,
  answerAfterFlush: true,
  preVote: true,
  checkQuorum: true,
  readIndexRound: true,
  snapshotAfterFlush: true,
  changeAfterOwnTermCommit: true,
  learnersDoNotCount: true,
  emptyDiskNeverVotes: true,
  cutOnlyConflicts: true,
};
