import {
  AddPartitionsRequestSchema,
  ConfigureTopicRequestSchema,
  CreateTopicRequestSchema,
  DeleteTopicRequestSchema,
  DescribeClusterRequestSchema,
  DescribeElectionsRequestSchema,
  DescribeTopicsRequestSchema,
  ListBrokersRequestSchema,
  ListTopicsRequestSchema,
} from "@tidemark/proto/admin/v1";
import { GetRequestSchema, ListRequestSchema } from "@tidemark/proto/admin/v1/metadata";
import { AllocateProducerIdsRequestSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it } from "vitest";
import {
  callContext,
  createWorld,
  type Node,
  openHeartbeat,
  portOf,
  registration,
  request,
  type World,
} from "./testing/world.ts";

let world: World | undefined;
const open = async (...options: Parameters<typeof createWorld>) => {
  world = await createWorld(...options);
  return world;
};
afterEach(async () => {
  await world?.close();
  world = undefined;
});

const context = callContext();
const register = (at: Node, ...of: Parameters<typeof registration>) =>
  Promise.resolve(at.controller.cluster.register(registration(...of), context));
const createTopic = (at: Node, topic: string, init: { partitions?: number; replicationFactor?: number } = {}) =>
  Promise.resolve(at.controller.admin.createTopic(request(CreateTopicRequestSchema, { topic, ...init }), context));
const describeTopic = async (w: World, at: Node, topic: string) => {
  const query = request(DescribeTopicsRequestSchema, { topics: [topic] });
  const { topics = [] } = await w.settle(at.controller.admin.describeTopics(query, context));
  return topics[0];
};

describe("a controller", () => {
  it("sets up the cluster on an empty store and tells its id", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.until(() => node.clusters.length > 0, "the cluster is known");
    const cluster = await w.settle(
      node.controller.admin.describeCluster(request(DescribeClusterRequestSchema), context),
    );
    expect(cluster.clusterId).toBe(node.clusters[0]);
    expect(cluster.clusterId).toMatch(/^[0-9a-f-]{36}$/);
    expect(cluster.controller).toMatchObject({ id: 1, endpoint: "controller-1.test:4650", controllerEpoch: 1 });
  });

  it("registers brokers, makes a topic on them, and tells both", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    for (const id of [1, 2, 3]) {
      const answer = await w.settle(register(node, id));
      expect(answer).toMatchObject({ brokerEpoch: 1, controllerEpoch: 1, sessionTimeoutMs: 6000 });
    }
    const { topic } = await w.settle(createTopic(node, "orders", { partitions: 6 }));
    expect(topic).toMatchObject({ name: "orders", replicationFactor: 3 });
    expect(topic?.partitions).toHaveLength(6);
    const listed = await w.settle(node.controller.admin.listTopics(request(ListTopicsRequestSchema), context));
    expect(listed.topics).toMatchObject([{ name: "orders", partitions: 6 }]);
    const { brokers } = await w.settle(node.controller.admin.listBrokers(request(ListBrokersRequestSchema), context));
    expect(brokers?.map(({ alive, leaders, replicas }) => ({ alive, leaders, replicas }))).toEqual(
      Array.from({ length: 3 }, () => ({ alive: true, leaders: 2, replicas: 6 })),
    );
  });
});
