import type { ClusterLimits, LeaderSelection } from "@tidemark/metadata";

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
}
