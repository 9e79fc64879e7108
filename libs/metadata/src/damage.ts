/**
 * Replicas whose log is damaged below what they had noted as flushed (L4, L10). Each is marked in its partition with the
 * broker epoch in which that was found: partition epoch + 1, so that a proposal that is late cannot bring it back. The
 * mark holds for that broker epoch; when the broker registers again without naming the replica, it copies it anew.
 */
import type { BrokerEpoch, BrokerId, PartitionIndex, TopicId } from "@tidemark/ids";
import { findPartition, type MetadataImage } from "./image.ts";
import type { Partition } from "./model.ts";

/** One partition of which a broker has a replica. */
export interface ReplicaId {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
}

/** What a broker found damaged in its present broker epoch. */
export interface Damage {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly damaged: readonly ReplicaId[];
}

/**
 * How damage is noted in partitions. What is returned gives the very same partition back where there is nothing to note:
 * no damage, no such replica, or noted already.
 */
export function markDamaged({ brokerId, brokerEpoch, damaged }: Damage): (partition: Partition) => Partition {
  const named = new Set(damaged.map(idOf));
  return (partition) => {
    if (!named.has(idOf(partition))) return partition;
    const replica = partition.replicas.find((each) => each.brokerId === brokerId);
    if (replica === undefined || replica.damagedIn === brokerEpoch) return partition;
    const replicas = partition.replicas.map((each) => (each === replica ? { ...each, damagedIn: brokerEpoch } : each));
    return { ...partition, replicas };
  };
}

/** Whether some of it is not noted in an image yet. */
export function isNewDamage(image: MetadataImage, damage: Damage): boolean {
  const mark = markDamaged(damage);
  return damage.damaged.some(({ topicId, partition }) => {
    const found = findPartition(image, topicId, partition);
    return found !== undefined && mark(found) !== found;
  });
}

function idOf({ topicId, partition }: ReplicaId): string {
  return `${topicId}/${partition}`;
}
