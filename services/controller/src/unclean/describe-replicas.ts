import type { BrokerEpoch } from "@tidemark/ids";
import { brokerEpoch, leaderEpoch, offset } from "@tidemark/ids";
import type { AnsweredPosition, BrokerSession, ReplicaId } from "@tidemark/metadata";
import { ReplicaCondition, type ReplicaDescription, ReplicaService } from "@tidemark/proto/replica/v1";
import { type ChannelOptions, createRpcClient, type Transport } from "@tidemark/rpc";

/** What one broker said of its replicas. */
export interface DescribedReplicas {
  /** The broker epoch that it gave itself. Undefined where it has none yet. */
  readonly brokerEpoch: BrokerEpoch | undefined;
  /** Those of the replicas that are whole; one that is damaged, offline or absent says nothing about its log. */
  readonly replicas: readonly (ReplicaId & Omit<AnsweredPosition, "brokerId" | "brokerEpoch">)[];
}

/**
 * Asks one broker how its replicas stand, before an unclean election. Rejects where it gives no answer within
 * `timeoutMs`, or where it is another broker.
 */
export type DescribeReplicas = (
  broker: BrokerSession,
  partitions: readonly ReplicaId[],
  timeoutMs: number,
) => Promise<DescribedReplicas>;

/** What one call asks for at most; more partitions are asked for in several. */
const partitionsPerCall = 10_000;

/** Over `replica.v1` at the broker's `internal` listener. The channel lives as long as the question. */
export function createDescribeReplicas(
  transport: Transport,
  channelOptions: Omit<ChannelOptions, "trafficClass">,
): DescribeReplicas {
  return async ({ brokerId, endpoints }, partitions, timeoutMs) => {
    const endpoint = endpoints.find(({ listener }) => listener === "internal") ?? endpoints[0];
    if (endpoint === undefined) throw new Error(`Broker ${brokerId} has no endpoint`);
    const channel = transport.createChannel(`${endpoint.host}:${endpoint.port}`, {
      ...channelOptions,
      trafficClass: "control",
    });
    try {
      const client = createRpcClient(ReplicaService, channel);
      let epoch: number | undefined;
      const replicas: ReplicaDescription[] = [];
      for (let from = 0; from < partitions.length; from += partitionsPerCall) {
        const some = partitions.slice(from, from + partitionsPerCall).map((partition) => ({ ...partition }));
        const answer = await client.describeReplica({ partitions: some }, { timeoutMs, waitForReady: true });
        if (answer.brokerId !== brokerId) throw new Error(`Broker ${answer.brokerId} answered for broker ${brokerId}`);
        epoch = answer.brokerEpoch;
        replicas.push(...answer.replicas);
      }
      return {
        brokerEpoch: epoch === undefined ? undefined : brokerEpoch(epoch),
        replicas: positionsOf(partitions, replicas),
      };
    } finally {
      channel.close();
    }
  };
}

/** The answers that can be used, each for the partition that was asked for in its place. */
function positionsOf(
  asked: readonly ReplicaId[],
  described: readonly ReplicaDescription[],
): DescribedReplicas["replicas"] {
  return described.flatMap((replica, index) => {
    const partition = asked[index];
    if (partition === undefined || replica.condition !== ReplicaCondition.ONLINE) return [];
    if (replica.topicId !== partition.topicId || replica.partition !== partition.partition) return [];
    return [
      {
        ...partition,
        lastLeaderEpoch: replica.lastLeaderEpoch ?? -1,
        logEnd: offset(replica.logEnd),
        logStart: offset(replica.logStart),
        regressedFrom: replica.regressedFrom === undefined ? undefined : leaderEpoch(replica.regressedFrom),
      },
    ];
  });
}
