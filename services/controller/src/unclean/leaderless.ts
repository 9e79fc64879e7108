import { type MetadataImage, type Partition, receiptId, type Topic } from "@tidemark/metadata";
import type { MetadataFollower } from "../state/metadata-follower.ts";

/** The partitions that have no leader, kept from change to change: looking for them costs nothing where there are none. */
export interface LeaderlessPartitions {
  readonly partitions: Iterable<Partition>;
}

export function followLeaderless(follower: Pick<MetadataFollower, "onStep">): LeaderlessPartitions {
  const leaderless = new Map<string, Partition>();
  follower.onStep(({ delta }) => {
    for (const { before, after } of delta.partitions) {
      if (after !== undefined && after.leader === undefined) leaderless.set(receiptId(after), after);
      else if (before !== undefined) leaderless.delete(receiptId(before));
    }
  });
  return {
    get partitions() {
      return leaderless.values();
    },
  };
}

/** Whether a topic lets a replica that is not eligible lead when no other lives: its own word, or else the cluster's. */
export function allowsUnclean({ settings }: Topic, clusterAllows: boolean): boolean {
  const own = settings.get("unclean.leader.election.enable");
  return own === undefined ? clusterAllows : own === "true";
}

/** Whether some broker that may lead has a replica of the partition. */
export function hasLiveReplica(image: MetadataImage, { replicas }: Partition): boolean {
  return replicas.some(({ brokerId }) => image.sessions.get(brokerId)?.state === "running");
}
