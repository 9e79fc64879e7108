import { allBrokerGuards, type BrokerGuards } from "@tidemark/broker";
import type { NodeGuards } from "@tidemark/consensus-raft";
import { allControllerGuards, type ControllerGuards } from "@tidemark/controller";
import { allGuards as allLogGuards, type LogGuards } from "@tidemark/log";
import { allGuards as allReplicationGuards, type ReplicationGuards } from "@tidemark/replication";
import type { ScenarioName } from "../faults/scenarios.ts";
import type { RunPlan, SwarmBounds } from "./plan.ts";

/** A protection that is taken out, and the chain of faults that aims at what it protects from. */
export interface Switch {
  readonly broken: RunPlan["broken"];
  readonly scenario: ScenarioName;
  /** A cluster as it is drawn for any run, within these bounds, and not the small one that most are aimed at. */
  readonly drawn?: SwarmBounds;
}

const replicationAims: Readonly<Record<keyof ReplicationGuards, ScenarioName>> = {
  ackAfterFlush: "stalledLeaderReturns",
  maximalIsr: "expansionWhoseAnswerIsLost",
  flushedOnly: "stalledFollowersLosePower",
  positionsForgottenAtElection: "leadershipComesBack",
  minIsr: "lastOneStanding",
  truncationByLeaderEpoch: "restartsBelowHighWatermark",
  divergingFetchIgnored: "divergingFollowerReturns",
  leaderEpochOnFetch: "followerHearsLate",
  leaderEpochOnAppend: "verdictOfAnOlderLeader",
  emptyEpochWritten: "returnsBelowTheEpochStart",
  reentryAfterEpochStart: "returnsBelowTheEpochStart",
  brokerEpoch: "oldFetchArrivesLast",
  mismatchSettlesNothing: "repeatFailsByItsEpoch",
  refusalNeedsEveryAnswer: "refusedBeforeTheFirstArrives",
  flushedUpToVerified: "flushEndsBeforeTheVerdict",
  cutEndsFlushes: "cutTwiceAtOnce",
  unsettledWaits: "tailOfAnUnsettledLeader",
  oldIsrAnswerIgnored: "answerOfAnOlderState",
  producersTakenOver: "leaderFalls",
  repeatAfterCommit: "lastOneStanding",
  producerEpochFenced: "leaderFalls",
  sequenceGapRefused: "leaderFalls",
  repeatBeforeMinIsr: "lastOneStanding",
};

const logAims: Readonly<Record<keyof LogGuards, ScenarioName>> = {
  flushBeforeAck: "powerFailsEverywhere",
  syncDirectories: "powerFailsEverywhere",
  cutTailOnly: "flushedEndIsDamaged",
  checkpointNeverAhead: "powerFailsEverywhere",
  cutEndsFlushes: "cutWhileFlushing",
  rewriteUnflushedTail: "readTailLosesPower",
  lowerNotesBeforeCut: "diesWhileCutting",
  noteDamage: "damagedLeaderRestarts",
  deviceBeforeDamage: "diskGivesNothingBack",
};

const brokerAims: Readonly<Record<keyof BrokerGuards, ScenarioName>> = {
  deletesById: "madeAgainWhileOneIsAway",
};

const controllerAims: Readonly<Record<keyof ControllerGuards, ScenarioName>> = {
  electsTheLiving: "leaderFalls",
  keepsTheEligible: "outsiderReturnsFirst",
  staysClean: "outsiderReturnsFirst",
  decidesTogether: "twoGoDarkTogether",
};

/**
 * What a whole cluster comes to within some seeds. The others guard orders of messages and of membership changes that
 * only Raft's own simulation makes often enough, and what is late and not wrong: it finds each.
 */
type FoundInClusters = Exclude<
  keyof NodeGuards,
  | "commitOnlyOwnTerm"
  | "preVote"
  | "checkQuorum"
  | "readIndexRound"
  | "changeAfterOwnTermCommit"
  | "emptyDiskNeverVotes"
>;

const quorumAims: Readonly<Record<FoundInClusters, ScenarioName>> = {
  persistVote: "quorumGoesDark",
  answerAfterFlush: "quorumGoesDark",
  snapshotAfterFlush: "quorumFollowersCannotFlush",
  learnersDoNotCount: "quorumFollowersCannotFlush",
  cutOnlyConflicts: "quorumLeadersCutOff",
  leaseByMonotonicClock: "leaderClockSetBack",
};

/** Controllers enough for a quorum to lose some and to change its members, and time for snapshots. */
const quorumBounds: SwarmBounds = { replicationFactor: 1, controllers: 5, durationMs: 60_000, pace: 5 };

/**
 * Every protection that can be taken out of a broker, by its name: `replication.minIsr`, `log.flushBeforeAck`. A
 * protection whose absence no run finds is a missing check.
 */
export const switches: ReadonlyMap<string, Switch> = new Map<string, Switch>([
  ...Object.entries(replicationAims).map(([key, scenario]): [string, Switch] => [
    `replication.${key}`,
    {
      scenario,
      broken: { replicationGuards: { ...allReplicationGuards, [key]: false } },
    },
  ]),
  ...Object.entries(logAims).map(([key, scenario]): [string, Switch] => [
    `log.${key}`,
    { scenario, broken: { logGuards: { ...allLogGuards, [key]: false } } },
  ]),
  ...Object.entries(brokerAims).map(([key, scenario]): [string, Switch] => [
    `broker.${key}`,
    { scenario, broken: { brokerGuards: { ...allBrokerGuards, [key]: false } } },
  ]),
  ...Object.entries(controllerAims).map(([key, scenario]): [string, Switch] => [
    `controller.${key}`,
    { scenario, broken: { controllerGuards: { ...allControllerGuards, [key]: false } } },
  ]),
  ["controller.appendsFenced", { scenario: "appendArrivesLast", broken: { appendsUnfenced: true } }],
  ["controller.publishesCommitted", { scenario: "powerFailsBeforeTheCommit", broken: { publishesEarly: true } }],
  ...Object.entries(quorumAims).map(([key, scenario]): [string, Switch] => [
    `quorum.${key}`,
    { scenario, drawn: quorumBounds, broken: { quorumGuards: { [key]: false } } },
  ]),
]);
