import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { isMarkedOffline, type Partition, type ReplicaId, receiptId } from "@tidemark/metadata";
import type { MetadataFollower } from "./metadata-follower.ts";

/** The replicas that the metadata mark as not served, kept from change to change: most of the time there are none. */
export interface OfflineReplicaIndex {
  /** Those of a broker that are marked in this broker epoch. */
  of(broker: { readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch }): readonly ReplicaId[];
}

export function followOfflineReplicas(follower: Pick<MetadataFollower, "onStep">): OfflineReplicaIndex {
  const marked = new Map<string, Partition>();
  follower.onStep(({ delta }) => {
    for (const { before, after } of delta.partitions) {
      if (after?.replicas.some(({ offlineIn }) => offlineIn !== undefined)) marked.set(receiptId(after), after);
      else if (before !== undefined) marked.delete(receiptId(before));
    }
  });
  return {
    of: ({ brokerId, brokerEpoch }) =>
      [...marked.values()].flatMap((state) => {
        const { topicId, partition } = state;
        return isMarkedOffline(state, brokerId, brokerEpoch) ? [{ topicId, partition }] : [];
      }),
  };
}
