/** An unclean election of real brokers: what is lost is said, by offset and by replica. */
import { AdminService, ElectionType } from "@tidemark/proto/admin/v1";
import { Acks, LogService } from "@tidemark/proto/log/v1";
import { createChannel, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterEach, beforeEach, expect, it } from "vitest";

const topic = "ledger";
let cluster: DevCluster;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  cluster = await startDevCluster({ brokers: 2 });
  cleanups.push(() => cluster.stop());
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

it("is commanded where only a replica that missed records is left, and its receipt tells which were cut", async () => {
  const channel = createChannel(cluster.endpoint("gateway-1"), {
    trafficClass: "control",
    runtime: createNodeRuntime(),
  });
  cleanups.push(() => channel.close());
  const admin = createRpcClient(AdminService, channel);
  const log = createRpcClient(LogService, channel);
  const partition = async () => {
    const { topics } = await admin.describeTopics({ topics: [topic] });
    const found = topics[0]?.partitions[0];
    if (found === undefined) throw new Error("The topic has no partition");
    return found;
  };
  const produce = async (count: number, text: string) => {
    const records = Array.from({ length: count }, () => ({ valueForm: { case: "text", value: text } }) as const);
    await log.produce({ topic, partition: 0, acks: Acks.ALL, records });
  };

  await admin.createTopic({ topic, partitions: 1, replicationFactor: 2, settings: { "min.insync.replicas": "1" } });
  await produce(5, "kept");
  const { leader = 0, replicas } = await partition();
  const [follower = 0] = replicas.filter((id) => id !== leader);
  await cluster.kill(`broker-${follower}`);
  await waitFor("the follower to leave the ISR", async () => (await partition()).isr.length === 1);
  await produce(3, "lost");
  await cluster.kill(`broker-${leader}`);
  await waitFor("the leader to be found dead", async () => (await partition()).leader === undefined);
  await cluster.start(`broker-${follower}`);
  expect((await partition()).leader).toBeUndefined();

  const { results } = await admin.electLeaders({ type: ElectionType.UNCLEAN, topic });
  expect(results).toMatchObject([{ topic, leader: follower }]);
  await waitFor("its epoch's start to be flushed", async () => !(await partition()).recovering);
  await produce(1, "after");

  await cluster.start(`broker-${leader}`);
  const receipts = async () => (await admin.describeReceipts({ topic })).receipts;
  await waitFor("the receipt to be complete", async () => (await receipts())[0]?.awaited.length === 0);
  expect(await receipts()).toMatchObject([
    {
      topic,
      leader: follower,
      commanded: true,
      positions: [{ brokerId: follower, logEnd: 5n }],
      cuts: [{ brokerId: leader, firstOffset: 5n, logEnd: 8n }],
    },
  ]);
  await waitFor("both to be in sync", async () => (await partition()).isr.length === 2);
});
