import type { controllerSchema, Values } from "@tidemark/config";
import type { ControllerSettings } from "./settings.ts";

export type ControllerValues = Values<(typeof controllerSchema)["settings"]>;

export function settingsFromConfig(values: ControllerValues): ControllerSettings {
  return {
    sessionTimeoutMs: values["broker.session.timeout.ms"],
    connectionGraceMs: values["broker.connection.grace.ms"],
    leaderSelection: values["leader.selection"],
    defaultPartitions: values["num.partitions"],
    defaultReplicationFactor: values["default.replication.factor"],
    minInsyncReplicas: values["min.insync.replicas"],
    limits: {
      topicsMax: values["max.topics"],
      partitionsMax: values["max.partitions"],
    },
    rebalance: values["auto.leader.rebalance.enable"]
      ? {
          intervalMs: values["leader.imbalance.check.interval.seconds"] * 1000,
          imbalancePercentageMax: values["leader.imbalance.per.broker.percentage"],
        }
      : undefined,
    uncleanElection: values["unclean.leader.election.enable"],
    uncleanRecoveryWaitMs: values["unclean.recovery.wait.ms"],
  };
}
