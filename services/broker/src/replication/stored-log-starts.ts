/** Asks the other replicas of a partition how far their log starts are stored. */
import type { BrokerId, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import { findPartition, type MetadataImage } from "@tidemark/metadata";
import { ReplicaCondition, ReplicaService } from "@tidemark/proto/replica/v1";
import { createRpcClient, type RpcChannel, type TrafficClass } from "@tidemark/rpc";
import { internalEndpoint } from "../lazy-table.ts";

export interface StoredLogStarts {
  /**
   * The live replicas of a partition, this broker's aside, that have not stored `logStart` yet or did not answer. A
   * replica that is out of service is not asked for: it begins at its leader's log start when it comes back.
   */
  missing(
    partition: { readonly topicId: TopicId; readonly index: PartitionIndex },
    logStart: Offset,
    signal: AbortSignal,
  ): Promise<readonly BrokerId[]>;
}

/** How long one replica may take to answer, in milliseconds. */
const answerTimeoutMs = 1000;

export function createStoredLogStarts(options: {
  readonly brokerId: BrokerId;
  readonly image: () => MetadataImage;
  /** Opens a connection of its own each time; whoever opens it closes it. */
  readonly openChannel: (endpoint: string, trafficClass: TrafficClass) => RpcChannel;
}): StoredLogStarts {
  const hasStored = async (
    endpoint: string,
    { topicId, index }: Parameters<StoredLogStarts["missing"]>[0],
    logStart: Offset,
    signal: AbortSignal,
  ): Promise<boolean> => {
    const channel = options.openChannel(endpoint, "admin");
    try {
      const { replicas } = await createRpcClient(ReplicaService, channel).describeReplica(
        { partitions: [{ topicId, partition: index }] },
        { signal, timeoutMs: answerTimeoutMs },
      );
      const [replica] = replicas;
      if (replica?.condition === ReplicaCondition.OFFLINE) return true;
      return replica?.condition === ReplicaCondition.ONLINE && replica.storedLogStart >= logStart;
    } catch {
      return false;
    } finally {
      channel.close();
    }
  };

  return {
    async missing(partition, logStart, signal) {
      const image = options.image();
      const others = findPartition(image, partition.topicId, partition.index)?.replicas ?? [];
      const asked = others.map(async ({ brokerId }) => {
        if (brokerId === options.brokerId || !image.sessions.has(brokerId)) return [];
        const endpoint = internalEndpoint(image, brokerId);
        const isStored = endpoint !== undefined && (await hasStored(endpoint, partition, logStart, signal));
        return isStored ? [] : [brokerId];
      });
      return (await Promise.all(asked)).flat();
    },
  };
}
