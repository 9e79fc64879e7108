import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  directoryId,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import {
  applyChanges,
  type BrokerSession,
  emptyImage,
  type MetadataChange,
  type MetadataImage,
  type Partition,
  receiptId,
} from "@tidemark/metadata";
import { createDeferred, createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { askReplicas } from "./ask-replicas.ts";
import type { DescribedReplicas, DescribeReplicas } from "./describe-replicas.ts";

const topic = topicId("aaaaaaaa-0000-4000-8000-000000000001");
const disk = (broker: number) => directoryId(`dddddddd-0000-4000-8000-00000000000${broker}`);
const ids = [0, 1].map((index) => ({ topicId: topic, partition: partitionIndex(index) }));

function sessionOf(broker: number, fields: Partial<BrokerSession> = {}): MetadataChange {
  const value: BrokerSession = {
    brokerId: brokerId(broker),
    brokerEpoch: brokerEpoch(1),
    incarnationId: "",
    directoryIds: [disk(broker)],
    endpoints: [],
    rack: "",
    state: "running",
    ...fields,
  };
  return { kind: "brokerSession", brokerId: value.brokerId, value };
}

function partitionOf(index: number, replicas: readonly number[]): MetadataChange {
  const value: Partition = {
    topicId: topic,
    partition: partitionIndex(index),
    replicas: replicas.map((id) => ({ brokerId: brokerId(id), directoryId: disk(id) })),
    isr: [],
    elr: [],
    minIsr: 2,
    leader: undefined,
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: partitionEpoch(3),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
  return { kind: "partition", topicId: topic, partition: value.partition, value };
}

function imageOf(...changes: readonly MetadataChange[]): MetadataImage {
  const value = { name: "t", topicId: topic, partitions: 2, replicationFactor: 3, settings: new Map<string, string>() };
  return applyChanges(emptyImage, [...changes, { kind: "topic", name: "t", value }]).image;
}

const answerOf = (asked: Parameters<DescribeReplicas>[1], logEnd: bigint): DescribedReplicas => ({
  brokerEpoch: brokerEpoch(1),
  replicas: asked.map((id) => ({ ...id, lastLeaderEpoch: 2, logEnd: offset(logEnd), logStart: offset(0n) })),
});

describe("asking the replicas of partitions without a leader", () => {
  it("asks every broker once, about all that it holds, and nobody who could not lead", async () => {
    const { scheduler } = createManualTime();
    const image = imageOf(
      partitionOf(0, [1, 2, 3]),
      partitionOf(1, [2, 4, 5]),
      sessionOf(1),
      sessionOf(2),
      sessionOf(3, { state: "stopping" }),
      sessionOf(4, { directoryIds: [disk(9)] }),
    );
    const asked: string[] = [];
    const describe: DescribeReplicas = async (broker, partitions) => {
      asked.push(`${broker.brokerId}: ${partitions.map((each) => each.partition).join()}`);
      return answerOf(partitions, BigInt(broker.brokerId));
    };
    const positions = await askReplicas(image, ids, { describe, scheduler, waitMs: 1000 });
    expect(asked).toEqual(["1: 0", "2: 0,1"]);
    const ends = ids.map((id) => positions.get(receiptId(id))?.map(({ brokerId: id, logEnd }) => [id, logEnd]));
    expect(ends).toEqual([
      [
        [1, 1n],
        [2, 2n],
      ],
      [[2, 2n]],
    ]);
  });

  it("goes on with those who answered in time, and takes nothing from the others afterwards", async () => {
    const { scheduler, advance } = createManualTime();
    const image = imageOf(partitionOf(0, [1, 2, 3]), sessionOf(1), sessionOf(2), sessionOf(3));
    const late = createDeferred<DescribedReplicas>();
    const describe: DescribeReplicas = async ({ brokerId: id }, partitions) => {
      if (id === 1) return late.promise;
      if (id === 2) throw new Error("No connection");
      return answerOf(partitions, 7n);
    };
    const asking = askReplicas(image, ids.slice(0, 1), { describe, scheduler, waitMs: 1000 });
    await advance(1000);
    const positions = await asking;
    late.resolve(answerOf(ids.slice(0, 1), 99n));
    await advance(1000);
    expect([...positions.values()]).toMatchObject([[{ brokerId: 3, logEnd: 7n }]]);
  });
});
