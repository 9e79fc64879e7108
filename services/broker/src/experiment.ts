import type { LogGuards, ReplicaId } from "@tidemark/log";
import type { PartitionInput, PartitionOutput, PartitionView, ReplicationGuards } from "@tidemark/replication";

/** Protections of a broker's own, beside those of its replicas and logs. */
export interface BrokerGuards {
  /** Data are deleted by the id of their topic, never by its name (D7). */
  readonly deletesById: boolean;
}

/** Every protection in place. */
export const allBrokerGuards: BrokerGuards = Object.freeze({ deletesById: true });

/**
 * What tests and the simulator may ask of a broker. The program never does: no setting leads here, so protections can be
 * taken out, and machines looked into, only by code that makes a broker itself.
 */
export interface BrokerExperiment {
  /** Absent: every guard on. */
  readonly replicationGuards?: ReplicationGuards;
  /** Absent: every guard on. */
  readonly logGuards?: LogGuards;
  /** Absent: every guard on. */
  readonly brokerGuards?: BrokerGuards;
  /** Told after each step of a replica's machine, before anything follows from it. Must not throw. */
  readonly onStep?: (
    replica: ReplicaId,
    view: () => PartitionView,
    input: PartitionInput,
    output: PartitionOutput,
  ) => void;
}
