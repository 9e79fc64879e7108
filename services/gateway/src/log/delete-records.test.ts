import type { DeleteRecordsRequest } from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const all = { topic: "orders", partitions: [{ partition: 1, beforeOffset: 5n }, { partition: 0 }] };

describe("deleting records through a gateway", () => {
  it("asks each leader about its own partitions, and answers in the order of the request", async () => {
    await world.reset();
    const asked: [number, DeleteRecordsRequest][] = [];
    for (const { id, others } of world.brokers) {
      others.deleteRecords = (request) => {
        asked.push([id, request]);
        return { partitions: request.partitions.map(({ partition }) => ({ partition, logStart: BigInt(id) })) };
      };
    }
    const { partitions } = await world.admin.deleteRecords(all);
    expect(partitions).toMatchObject([
      { partition: 1, logStart: 2n },
      { partition: 0, logStart: 1n },
    ]);
    const topicId = world.controller.ordersId;
    expect(asked.toSorted(([a], [b]) => a - b)).toMatchObject([
      [1, { topic: "orders", topicId, partitions: [{ partition: 0 }] }],
      [2, { topic: "orders", topicId, partitions: [{ partition: 1, beforeOffset: 5n }] }],
    ]);
    expect(asked.find(([id]) => id === 1)?.[1].partitions[0]?.beforeOffset).toBeUndefined();
  });

  it("goes on to the next leader: what was deleted once is deleted", async () => {
    await world.reset();
    const [one, two] = world.brokers;
    if (one === undefined || two === undefined) throw new Error("There are two brokers");
    one.others.deleteRecords = () => {
      throw new TidemarkError({
        reason: Reason.NOT_LEADER,
        message: "moved",
        leader: { broker: 2, endpoint: two.endpoint, leaderEpoch: 9 },
      });
    };
    two.others.deleteRecords = () => ({ partitions: [{ partition: 0, logStart: 7n }] });
    const { partitions } = await world.admin.deleteRecords({ topic: "orders", partitions: [{ partition: 0 }] });
    expect(partitions).toMatchObject([{ partition: 0, logStart: 7n }]);
  });

  it("tells the failure of one partition beside the others, and fails where it is the only one", async () => {
    await world.reset();
    for (const { id, others } of world.brokers) {
      others.deleteRecords = ({ partitions }) => {
        if (id === 2) throw new TidemarkError({ reason: Reason.OFFSET_OUT_OF_RANGE, message: "beyond" });
        return { partitions: partitions.map(({ partition }) => ({ partition, logStart: 3n })) };
      };
    }
    const { partitions } = await world.admin.deleteRecords(all);
    expect(partitions).toMatchObject([
      { partition: 1, error: { reason: Reason.OFFSET_OUT_OF_RANGE }, message: "beyond" },
      { partition: 0, logStart: 3n },
    ]);
    const only = world.admin.deleteRecords({ topic: "orders", partitions: [{ partition: 1 }] });
    await expect(only).rejects.toMatchObject({ reason: Reason.OFFSET_OUT_OF_RANGE });
  });

  it.each([
    ["no partition", { topic: "orders" }, Reason.INVALID_ARGUMENT],
    ["one twice", { topic: "orders", partitions: [{ partition: 0 }, { partition: 0 }] }, Reason.INVALID_ARGUMENT],
    ["one that is not there", { topic: "orders", partitions: [{ partition: 9 }] }, Reason.UNKNOWN_PARTITION],
    ["a topic that is not there", { topic: "none", partitions: [{ partition: 0 }] }, Reason.UNKNOWN_TOPIC],
  ])("refuses %s", async (_, request, reason) => {
    await world.reset();
    await expect(world.admin.deleteRecords(request)).rejects.toMatchObject({ reason });
  });
});
