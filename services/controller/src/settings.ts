import type { ClusterLimits, LeaderSelection } from "@tidemark/metadata";

export interface RebalanceSettings {
  readonly intervalMs: number;
  /** Up to this share of a broker's preferred partitions, in percent, may be led elsewhere. */
  readonly imbalancePercentageMax: number;
}

/** What a controller is told, in the units that the names say. */
export interface ControllerSettings {
  /** A broker silent for so long has lost its session. */
  readonly sessionTimeoutMs: number;
  /** From a lost connection to the probe of the broker's port. */
  readonly connectionGraceMs: number;
  readonly leaderSelection: LeaderSelection;
  /** Partitions of a topic that does not say how many. */
  readonly defaultPartitions: number;
  /** Replicas of a topic that does not say how many; fewer where fewer brokers run. */
  readonly defaultReplicationFactor: number;
  /** `min.insync.replicas` of a topic that does not say. */
  readonly minInsyncReplicas: number;
  readonly limits: ClusterLimits;
  /** `auto.leader.rebalance.enable` and what belongs to it. Undefined: leaders are moved back on command only. */
  readonly rebalance: RebalanceSettings | undefined;
  /** `unclean.leader.election.enable` of a topic that does not say. */
  readonly uncleanElection: boolean;
  /** How long an unclean election waits for what replicas say of their logs. */
  readonly uncleanRecoveryWaitMs: number;
}
