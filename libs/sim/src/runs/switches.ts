import type { NodeGuards } from "@tidemark/consensus-raft";
import { allGuards as allLogGuards, type LogGuards } from "@tidemark/log";
import { allGuards as allReplicationGuards, type ReplicationGuards } from "@tidemark/replication";
import type { ScenarioName } from "../faults/scenarios.ts";
import type { RunPlan } from "./plan.ts";

/** A protection that is taken out, and the chain of faults that aims at what it protects from. */
export interface Switch {
  readonly broken: RunPlan["broken"];
  readonly scenario: ScenarioName;
}

const replicationAims: Readonly<Record<keyof ReplicationGuards, ScenarioName>> = {
  ackAfterFlush: "stalledLeaderLosesPower",
  maximalIsr: "expansionWhoseAnswerIsLost",
  flushedOnly: "stalledFollowersLosePower",
  positionsForgottenAtElection: "leadershipWanders",
  minIsr: "lastOneStanding",
  truncationByLeaderEpoch: "restartBeforeHighWatermark",
  divergingFetchIgnored: "leadershipWanders",
  leaderEpochOnFetch: "leadershipWanders",
  leaderEpochOnAppend: "leadershipWanders",
  emptyEpochWritten: "quickLeaderChanges",
  reentryAfterEpochStart: "leadershipWanders",
  brokerEpoch: "restartAtReentry",
  mismatchSettlesNothing: "expansionWhoseAnswerIsLost",
  refusalNeedsEveryAnswer: "expansionWhoseAnswerIsLost",
  flushedUpToVerified: "leadershipWanders",
  cutEndsFlushes: "leadershipWanders",
  unsettledWaits: "lastOneStanding",
  oldIsrAnswerIgnored: "expansionWhoseAnswerIsLost",
  producersTakenOver: "leadershipWanders",
  repeatAfterCommit: "lastOneStanding",
  producerEpochFenced: "leadershipWanders",
  sequenceGapRefused: "leadershipWanders",
  repeatBeforeMinIsr: "lastOneStanding",
};

const logAims: Readonly<Record<keyof LogGuards, ScenarioName>> = {
  flushBeforeAck: "everythingGoesDark",
  syncDirectories: "everythingGoesDark",
  cutTailOnly: "everythingGoesDark",
  checkpointNeverAhead: "everythingGoesDark",
  cutEndsFlushes: "leadershipWanders",
  rewriteUnflushedTail: "killWithUnflushedTail",
  lowerNotesBeforeCut: "quickLeaderChanges",
};

const quorumAims: Readonly<Record<keyof NodeGuards, ScenarioName>> = {
  commitOnlyOwnTerm: "quorumLeadersCutOff",
  persistVote: "quorumGoesDark",
  answerAfterFlush: "quorumGoesDark",
  preVote: "quorumLeadersCutOff",
  checkQuorum: "quorumLeadersCutOff",
  readIndexRound: "quorumLeadersCutOff",
  snapshotAfterFlush: "quorumFollowersCannotFlush",
  changeAfterOwnTermCommit: "quorumLeadersCutOff",
  learnersDoNotCount: "quorumFollowersCannotFlush",
  emptyDiskNeverVotes: "quorumGoesDark",
  cutOnlyConflicts: "quorumLeadersCutOff",
  leaseByMonotonicClock: "leaderClockSetBack",
};

/**
 * Every protection that can be taken out of a broker, by its name: `replication.minIsr`, `log.flushBeforeAck`. A
 * protection whose absence no run finds is a missing check.
 */
export const switches: ReadonlyMap<string, Switch> = new Map<string, Switch>([
  ...Object.entries(replicationAims).map(([key, scenario]): [string, Switch] => [
    `replication.${key}`,
    { scenario, broken: { replicationGuards: { ...allReplicationGuards, [key]: false } } },
  ]),
  ...Object.entries(logAims).map(([key, scenario]): [string, Switch] => [
    `log.${key}`,
    { scenario, broken: { logGuards: { ...allLogGuards, [key]: false } } },
  ]),
  ...Object.entries(quorumAims).map(([key, scenario]): [string, Switch] => [
    `quorum.${key}`,
    { scenario, broken: { quorumGuards: { [key]: false } } },
  ]),
]);
