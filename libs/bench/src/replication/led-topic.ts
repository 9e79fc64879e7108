import { AdminService } from "@tidemark/proto/admin/v1";
import { type ChannelPool, createRpcClient, type RpcChannel } from "@tidemark/rpc";
import { type DevCluster, waitFor } from "@tidemark/testkit";
import { batchOf, produceLoad } from "./produce-load.ts";

/** Who leads a topic's only partition. */
export interface Leader {
  readonly broker: number;
  readonly channel: RpcChannel;
}

/** Makes a topic of one partition. Resolves with its leader, once all replicas are in sync and it acknowledged something. */
export async function createLedTopic(
  cluster: DevCluster,
  pool: ChannelPool,
  of: {
    readonly topic: string;
    readonly replicationFactor: number;
    readonly settings: { readonly flush: "sync" | "async"; readonly [key: string]: string };
  },
): Promise<Leader> {
  const { topic, replicationFactor, settings } = of;
  const admin = createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
  await admin.createTopic({ topic, partitions: 1, replicationFactor, settings });
  const leader = await waitFor(`${topic} to be led`, async () => {
    const { topics } = await admin.describeTopics({ topics: [topic] });
    const partition = topics[0]?.partitions[0];
    return partition?.isr.length === replicationFactor ? partition.leader : undefined;
  });
  const channel = pool.get(cluster.endpoint(`broker-${leader}`), "produce");
  const once = { topic, batch: batchOf(1024), count: 1, inFlight: 1 };
  await waitFor(`${topic} to take records`, async () => produceLoad(channel, once));
  return { broker: leader, channel };
}
