/**
 * Switches that take one protection each out of the protocol. Production code passes `allGuards`. Tests turn single
 * guards off and show that an invariant finds the damage: a guard whose absence nobody notices is a missing test.
 */
export interface ReplicationGuards {
  /** Nothing is acknowledged, or counted as the leader's own position, before it was flushed (R2, R4). */
  readonly ackAfterFlush: boolean;
  /** The high watermark waits for members of an unsettled change too (R2, R6). */
  readonly maximalIsr: boolean;
  /** What a follower fetched counts for nothing before it was flushed (R2). */
  readonly flushedOnly: boolean;
  /** Positions are unknown after each election (R2). */
  readonly positionsForgottenAtElection: boolean;
  /** Below min ISR acks=all is refused and the high watermark stands still (R2, R4). */
  readonly minIsr: boolean;
  /** A new follower asks where the logs part and never cuts at its own high watermark (R8, KIP-101). */
  readonly truncationByLeaderEpoch: boolean;
  /** A diverging fetch records nothing as replicated (R7). */
  readonly divergingFetchIgnored: boolean;
  /** A fetch of another leader epoch is refused (R7). */
  readonly leaderEpochOnFetch: boolean;
  /** A follower appends answers of its current session and leader epoch only (R7). */
  readonly leaderEpochOnAppend: boolean;
  /** A leader writes its epoch's start before any append, so that an epoch without records counts too (R8). */
  readonly emptyEpochWritten: boolean;
  /** A follower returns to the ISR only when it has flushed up to the start of the leader's epoch (R5). */
  readonly reentryAfterEpochStart: boolean;
  /** A fetch with an older broker epoch is refused, and a newer one makes the position unknown (R2, R10). */
  readonly brokerEpoch: boolean;
  /** A mismatch of epochs settles nothing (R6). */
  readonly mismatchSettlesNothing: boolean;
  /** A refusal settles a proposal only when no attempt of it is unanswered (R6). */
  readonly refusalNeedsEveryAnswer: boolean;
  /** A flushed offset counts up to the verified position only (R2). */
  readonly flushedUpToVerified: boolean;
  /** A cut ends every flush in flight (L9). */
  readonly cutEndsFlushes: boolean;
  /** An unsettled high watermark proves nothing about offsets above it (R14). */
  readonly unsettledWaits: boolean;
  /** An answer that carries an old partition epoch changes nothing (R6). */
  readonly oldIsrAnswerIgnored: boolean;
  /** A new leader knows the producers of the batches that it holds (R11). */
  readonly producersTakenOver: boolean;
  /** A repeat is answered when the original is committed, and not before (R11). */
  readonly repeatAfterCommit: boolean;
  /** An older producer epoch is refused (R11). */
  readonly producerEpochFenced: boolean;
  /** A batch that does not follow the last sequence is refused (R11). */
  readonly sequenceGapRefused: boolean;
  /** A repeat is looked for before the ISR is (R11). */
  readonly repeatBeforeMinIsr: boolean;
}

/** Every protection in place. */
export const allGuards: ReplicationGuards = Object.freeze({
  ackAfterFlush: true,
  maximalIsr: true,
  flushedOnly: true,
  positionsForgottenAtElection: true,
  minIsr: true,
  truncationByLeaderEpoch: true,
  divergingFetchIgnored: true,
  leaderEpochOnFetch: true,
  leaderEpochOnAppend: true,
  emptyEpochWritten: true,
  reentryAfterEpochStart: true,
  brokerEpoch: true,
  mismatchSettlesNothing: true,
  refusalNeedsEveryAnswer: true,
  flushedUpToVerified: true,
  cutEndsFlushes: true,
  unsettledWaits: true,
  oldIsrAnswerIgnored: true,
  producersTakenOver: true,
  repeatAfterCommit: true,
  producerEpochFenced: true,
  sequenceGapRefused: true,
  repeatBeforeMinIsr: true,
});
