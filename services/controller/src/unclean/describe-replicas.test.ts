import type { MessageInitShape } from "@bufbuild/protobuf";
import { brokerEpoch, brokerId, directoryId, partitionIndex, topicId } from "@tidemark/ids";
import type { BrokerSession } from "@tidemark/metadata";
import {
  type DescribeReplicaRequest,
  type DescribeReplicaResponseSchema,
  ReplicaCondition,
  ReplicaService,
} from "@tidemark/proto/replica/v1";
import { createRpcServer, grpcTransport, serve } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, describe, expect, it } from "vitest";
import { createDescribeReplicas } from "./describe-replicas.ts";

const runtime = createNodeRuntime();
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const topic = topicId("aaaaaaaa-0000-4000-8000-000000000001");
const asked = [0, 1, 2, 3].map((index) => ({ topicId: topic, partition: partitionIndex(index) }));

type Answer = MessageInitShape<typeof DescribeReplicaResponseSchema>;

/** A broker that answers so. Resolves with its session. */
async function brokerThat(answer: (request: DescribeReplicaRequest) => Answer): Promise<BrokerSession> {
  const service = serve(ReplicaService, { describeReplica: answer });
  const listener = { host: "127.0.0.1", port: 0, services: [service] };
  const server = createRpcServer({ runtime, listeners: { internal: listener } });
  closing.push(() => server.stop(0));
  const { internal } = await server.start();
  return {
    brokerId: brokerId(2),
    brokerEpoch: brokerEpoch(5),
    incarnationId: "eeeeeeee-0000-4000-8000-000000000001",
    directoryIds: [directoryId("dddddddd-0000-4000-8000-000000000001")],
    endpoints: [{ listener: "internal", host: "127.0.0.1", port: internal?.port ?? 0 }],
    rack: "",
    state: "running",
  };
}

const ask = createDescribeReplicas(grpcTransport, { runtime });

describe("asking a broker how its replicas stand", () => {
  it("tells where whole logs end, and nothing of those that are not whole or not there", async () => {
    const conditions = [
      ReplicaCondition.ONLINE,
      ReplicaCondition.OFFLINE,
      ReplicaCondition.ABSENT,
      ReplicaCondition.ONLINE,
    ];
    const broker = await brokerThat(({ partitions }) => ({
      brokerId: 2,
      brokerEpoch: 5,
      replicas: partitions.map(({ topicId: id, partition }, index) => ({
        topicId: id,
        partition,
        condition: conditions[index] ?? 0,
        logStart: 3n,
        logEnd: 9n,
        ...(index === 0 ? { lastLeaderEpoch: 4 } : {}),
      })),
    }));
    const answer = await ask(broker, asked, 5000);
    expect(answer.brokerEpoch).toBe(5);
    expect(answer.replicas).toEqual([
      { ...asked[0], lastLeaderEpoch: 4, logStart: 3n, logEnd: 9n },
      { ...asked[3], lastLeaderEpoch: -1, logStart: 3n, logEnd: 9n },
    ]);
  });

  it("believes no other broker at that address, and no answer about another partition", async () => {
    const other = await brokerThat(() => ({ brokerId: 7, brokerEpoch: 5, replicas: [] }));
    await expect(ask(other, asked, 5000)).rejects.toThrow("answered for broker 2");
    const confused = await brokerThat(() => ({
      brokerId: 2,
      brokerEpoch: 5,
      replicas: [{ topicId: topic, partition: 1, condition: ReplicaCondition.ONLINE, logEnd: 9n }],
    }));
    expect((await ask(confused, asked, 5000)).replicas).toEqual([]);
  });

  it("rejects where the broker has no endpoint", async () => {
    const broker = await brokerThat(() => ({ brokerId: 2 }));
    await expect(ask({ ...broker, endpoints: [] }, asked, 5000)).rejects.toThrow("no endpoint");
    expect((await ask(broker, asked, 5000)).brokerEpoch).toBeUndefined();
  });
});
