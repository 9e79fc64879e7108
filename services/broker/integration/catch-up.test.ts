/** A broker that missed much, as a real process: it copies what it lacks, and what is new meanwhile. */
import { type Client, createClient } from "@tidemark/client";
import { ReplicaCondition, ReplicaService } from "@tidemark/proto/replica/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const topic = "backlog";
/** More than what makes a follower leave those that are in sync to themselves. */
const backlogBytes = 24 * 2 ** 20;
const valueBytes = 64 * 1024;

const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3 });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
});

afterAll(async () => {
  pool.close();
  client.close();
  await cluster.stop();
});

async function describeBacklog() {
  const { topics } = await client.admin.describeTopics({ topics: [topic] });
  const [described] = topics;
  const partition = described?.partitions[0];
  if (described === undefined || partition === undefined) throw new Error("The topic has no partition");
  return { topicId: described.topicId, partition };
}

/** Produces so many values with acks=all, and expects every ack. */
async function produce(values: number): Promise<void> {
  const producer = client.createProducer();
  const value = new Uint8Array(valueBytes).fill(7);
  const outcomes = await Promise.all(
    Array.from({ length: values }, () => producer.send(topic, { value, partition: 0 })),
  );
  expect(outcomes.filter(({ kind }) => kind !== "acknowledged")).toEqual([]);
  await producer.close();
}

/** The replica on one broker, as that broker tells. */
async function replicaOn(broker: number) {
  const { topicId } = await describeBacklog();
  const replicas = createRpcClient(ReplicaService, pool.get(cluster.endpoint(`broker-${broker}`, "internal"), "admin"));
  const answer = await replicas.describeReplica({ partitions: [{ topicId, partition: 0 }] });
  return { broker: answer.brokerId, brokerEpoch: answer.brokerEpoch, ...answer.replicas[0] };
}

describe("a follower that was away", () => {
  it("has everything when it is in sync again, in its new broker epoch", async () => {
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
    const all = await waitFor("three replicas in sync", async () => {
      const { partition } = await describeBacklog();
      return partition.isr.length === 3 && partition;
    });
    const away = all.replicas.find((id) => id !== all.leader) ?? 0;
    const { brokerEpoch: before } = await replicaOn(away);
    await cluster.kill(`broker-${away}`);
    await produce(backlogBytes / valueBytes);
    await cluster.start(`broker-${away}`);
    await produce(10);
    await waitFor(`broker ${away} to be ready`, () =>
      client.checkHealth(cluster.endpoint(`broker-${away}`)).then(
        () => true,
        () => false,
      ),
    );
    // A broker that only answers, and copies still, is not ready.
    expect((await describeBacklog()).partition.isr).toHaveLength(3);
    const logEnd = BigInt(backlogBytes / valueBytes + 10);
    await waitFor("the high watermark to be known everywhere", async () => {
      const replicas = await Promise.all(all.replicas.map(replicaOn));
      return replicas.every(({ highWatermark }) => highWatermark === logEnd);
    });
    for (const id of all.replicas) {
      expect(await replicaOn(id)).toMatchObject({
        broker: id,
        condition: ReplicaCondition.ONLINE,
        logStart: 0n,
        logEnd,
        flushed: logEnd,
        damage: "",
      });
    }
    expect((await replicaOn(away)).brokerEpoch).toBeGreaterThan(before ?? 0);
  });
});
