import type { BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch } from "@tidemark/ids";

/**
 * What the metadata says of one partition. The driver finds the partition by topic id and index, so that the state of
 * another topic never gets here.
 */
export interface PartitionState {
  /** Every assigned replica; the first is the preferred leader. */
  readonly replicas: readonly BrokerId[];
  /** The committed ISR, the leader included. Empty only without a leader. */
  readonly isr: readonly BrokerId[];
  /** Eligible leader replicas (R13, KIP-966): hold everything below the high watermark though not in the ISR. */
  readonly elr: readonly BrokerId[];
  /** Min ISR in force: min(`min.insync.replicas`, replication factor), changed by the controller alone (R4). */
  readonly minIsr: number;
  /** Undefined: nobody leads, since nobody eligible is alive. */
  readonly leader: BrokerId | undefined;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  /** Its leader came from an unclean election and has not shown yet that it flushed its epoch's start (D2). */
  readonly recovering: boolean;
}

/** A member of a proposed ISR. */
export interface ProposedMember {
  readonly replica: BrokerId;
  /**
   * Carried by the fetches that proved the member in sync, never read from metadata (R10, KIP-903). Undefined: a
   * member of the committed ISR that has not fetched in this leader epoch; such a member stays and never enters.
   */
  readonly brokerEpoch: BrokerEpoch | undefined;
}

/** AlterPartition: compare and set of the ISR by leader epoch and partition epoch (R6). */
export interface IsrProposal {
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly isr: readonly ProposedMember[];
  /** False ends the recovery after an unclean election (D2). */
  readonly recovering: boolean;
  /** For people: why the leader asks. */
  readonly reason: string;
}

/** True when both name the same replicas, in whatever order. */
export function sameMembers(left: readonly BrokerId[], right: readonly BrokerId[]): boolean {
  return left.length === right.length && left.every((replica) => right.includes(replica));
}
