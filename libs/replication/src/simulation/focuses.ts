import type { ReplicationGuards } from "../guards.ts";
import type { Focus } from "./walk.ts";

/** Leaders change often, nobody dies: logs part, and messages of earlier leader epochs arrive late. */
const elections: Focus = {
  weights: { moveLeader: 5, kill: 0, cutPower: 0, loseDisk: 0, endSession: 0, fence: 0, deliverLate: 3, produce: 30 },
  late: { fetch: 0.3, response: 0.3 },
  metadataDelay: 0,
};

/** The same, and what followers say stays away for long, so that it arrives in another leader epoch. */
const lateReports: Focus = {
  weights: {
    ...elections.weights,
    moveLeader: 4,
    deliverLate: 12,
    tick: 4,
    fenceFollower: 0,
    emptyLog: 0,
    moveLogStart: 0,
    minIsr: 0,
  },
  late: { fetch: 0.4, flushedReport: 0.5 },
  metadataDelay: 0,
  pace: [500],
};

/** Followers come back with other disks while what they said before is still on its way. */
const lostDisks: Focus = {
  weights: { loseDisk: 6, kill: 2, start: 8, cutPower: 0, moveLeader: 0, fence: 0, endSession: 0.2, deliverLate: 6 },
  late: { fetch: 0.2 },
  metadataDelay: 0.5,
};

/** Followers go and come while the controller changes other things; answers and metadata are late. */
const isrChanges: Focus = {
  weights: {
    fenceFollower: 3,
    touch: 3,
    unfence: 6,
    dropProposal: 0,
    deliverLate: 3,
    fence: 0,
    minIsr: 0,
    moveLeader: 0,
    kill: 0,
    cutPower: 0,
    endSession: 0,
  },
  late: { alterAnswer: 0.5, fetch: 0, response: 0 },
  metadataDelay: 0.9,
  pace: [500],
};

/** Proposals are dropped, and sent again while the first attempt is on its way. */
const droppedProposals: Focus = { weights: { dropProposal: 6, deliverLate: 6 }, late: { alter: 0.3 } };

/**
 * Idempotent producers, whose batches come again at any moment. The log start stays: what retention takes from a replica
 * that begins anew there is no part of the promise (P11).
 */
export const idempotence: Focus = {
  weights: {
    sendNext: 25,
    sendAgain: 15,
    sendLate: 4,
    produce: 3,
    moveLeader: 2,
    moveLogStart: 0,
    endSession: 0.8,
    kill: 0.8,
    minIsr: 1,
  },
};

interface Hunt {
  /** What the walk is about; undefined: the mix that the swarm draws. */
  readonly focus?: Focus;
  /** Seeds that find it. They come first; when the protocol changes, others are tried. */
  readonly seeds: readonly number[];
}

/** How the damage of each guard that is off is found by the invariants of the walk. */
export const hunts: Readonly<Record<keyof ReplicationGuards, Hunt>> = {
  ackAfterFlush: { seeds: [0, 1, 2] },
  maximalIsr: { seeds: [14, 47, 68] },
  flushedOnly: { seeds: [0, 1, 4] },
  positionsForgottenAtElection: { focus: elections, seeds: [24, 76, 98] },
  minIsr: { seeds: [0, 1, 3] },
  truncationByLeaderEpoch: { seeds: [0, 4, 6] },
  divergingFetchIgnored: { seeds: [14, 23, 25] },
  leaderEpochOnFetch: { focus: lateReports, seeds: [14, 265, 980] },
  leaderEpochOnAppend: { focus: elections, seeds: [33, 70, 73] },
  emptyEpochWritten: { seeds: [13, 27, 46] },
  reentryAfterEpochStart: { seeds: [27, 77, 82] },
  brokerEpoch: { focus: lostDisks, seeds: [458, 980, 1100] },
  mismatchSettlesNothing: { focus: isrChanges, seeds: [275, 301, 333] },
  refusalNeedsEveryAnswer: { focus: droppedProposals, seeds: [28, 38, 39] },
  flushedUpToVerified: { seeds: [1, 2, 3] },
  cutEndsFlushes: { seeds: [535, 541, 570] },
  unsettledWaits: { seeds: [8, 29, 67] },
  oldIsrAnswerIgnored: { seeds: [23, 63, 102] },
  producersTakenOver: { focus: idempotence, seeds: [4, 5, 11] },
  repeatAfterCommit: { focus: idempotence, seeds: [1, 3, 4] },
  producerEpochFenced: { focus: idempotence, seeds: [5, 23, 27] },
  sequenceGapRefused: { focus: idempotence, seeds: [0, 2, 3] },
  repeatBeforeMinIsr: { focus: idempotence, seeds: [10, 12, 13] },
};
