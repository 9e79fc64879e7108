/**
 * Partitions whose replicas have seen more than the metadata know of, as after a restore from a backup (METADATA_REGRESSED).
 * Whoever were elected by such metadata might have cut committed records, so each is marked with the newest leader epoch
 * that was seen, durably, and:
 *
 * 1. it has no leader, and nobody is elected: neither of ISR nor of ELR, nor the preferred one, nor where its topic allows
 *    unclean elections, by whatever controller;
 * 2. an unclean election on command takes the mark away, and begins a leader epoch above all that were seen.
 *
 * What is compared is the state before a registration raises leader epochs. Both epochs only grow, so that a replica that
 * has seen a later one is right. The other way round nothing is proven: a replica that comes back when elections have
 * raised the leader epoch above what it holds cannot be told from one whose last records were never committed.
 *
 * What no cluster can have seen (`seenEpochMax`) says nothing of the metadata: that replica is damaged, or its broker in
 * error, and the partition goes on without it.
 */
import {
  type BrokerEpoch,
  type BrokerId,
  type LeaderEpoch,
  leaderEpoch,
  type PartitionEpoch,
  type PartitionIndex,
  type TopicId,
} from "@tidemark/ids";
import type { ReplicaId } from "./damage.ts";
import { findPartition, type MetadataImage } from "./image.ts";
import type { Partition } from "./model.ts";

/**
 * The highest epoch that a broker is believed to have seen: a partition that elects a leader each second gets there in 34
 * years. Elections begin epochs above those that were seen, and half of the numbers is left to them: without a bound, one
 * word of one broker would leave them none, and nothing could be decided any more.
 */
export const seenEpochMax = 2 ** 30;

/** What one replica has seen of its partition. */
export interface SeenState {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** The newest, in its log or in metadata. */
  readonly leaderEpoch: LeaderEpoch;
  /** The newest in metadata. Undefined: its process has seen none. */
  readonly partitionEpoch: PartitionEpoch | undefined;
}

/** What a broker's replicas are told to have seen, and those of them whose word cannot be true. */
export function weighSeen(told: readonly SeenState[]): {
  readonly seen: readonly SeenState[];
  readonly damaged: readonly ReplicaId[];
} {
  const isCredible = (each: SeenState) => Math.max(each.leaderEpoch, each.partitionEpoch ?? 0) <= seenEpochMax;
  return {
    seen: told.filter(isCredible),
    damaged: told.filter((each) => !isCredible(each)).map(({ topicId, partition }) => ({ topicId, partition })),
  };
}

/** What the replicas of a broker have seen that it found the metadata not to know. */
export interface Regression {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly seen: readonly SeenState[];
}

/**
 * How regressions are noted in partitions. What is returned gives the very same partition back where there is nothing to
 * note: no such replica, nothing later than the metadata, or noted already.
 */
export function markRegressed({ brokerId, seen }: Pick<Regression, "brokerId" | "seen">): (of: Partition) => Partition {
  const byPartition = new Map(seen.map((each) => [idOf(each), each]));
  return (partition) => {
    const found = byPartition.get(idOf(partition));
    if (found === undefined || !isLater(found, partition)) return partition;
    if (!partition.replicas.some((replica) => replica.brokerId === brokerId)) return partition;
    const newest = leaderEpoch(Math.max(partition.regressedFrom ?? 0, found.leaderEpoch));
    return newest === partition.regressedFrom ? partition : { ...partition, regressedFrom: newest };
  };
}

/** Whether some of it is not noted in an image yet. */
export function isNewRegression(image: MetadataImage, regression: Pick<Regression, "brokerId" | "seen">): boolean {
  const mark = markRegressed(regression);
  return regression.seen.some(({ topicId, partition }) => {
    const found = findPartition(image, topicId, partition);
    return found !== undefined && mark(found) !== found;
  });
}

function isLater(seen: SeenState, partition: Partition): boolean {
  return (
    seen.leaderEpoch > partition.leaderEpoch ||
    (seen.partitionEpoch !== undefined && seen.partitionEpoch > partition.partitionEpoch)
  );
}

function idOf({ topicId, partition }: Pick<SeenState, "topicId" | "partition">): string {
  return `${topicId}/${partition}`;
}
