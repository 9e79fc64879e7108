import type { Partition as PartitionRecord } from "@tidemark/metadata";
import type { PartitionState } from "@tidemark/replication";

/** What a partition's machine takes from the metadata. */
export function partitionStateOf(record: PartitionRecord): PartitionState {
  const { isr, elr, minIsr, leader, leaderEpoch, partitionEpoch, recovering } = record;
  const replicas = record.replicas.map((each) => each.brokerId);
  return { replicas, isr, elr, minIsr, leader, leaderEpoch, partitionEpoch, recovering };
}
