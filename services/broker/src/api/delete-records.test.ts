import { create } from "@bufbuild/protobuf";
import type { BrokerId, Offset } from "@tidemark/ids";
import { DeleteRecordsRequestSchema } from "@tidemark/proto/admin/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it } from "vitest";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "../testing/replica-cluster.ts";
import { createDeleteRecords } from "./delete-records.ts";

/** Three replicas with five records, led by broker 1. `missing`: who has not stored a log start, asked each time. */
async function fiveRecords(missing: (logStart: Offset) => readonly BrokerId[] = () => []) {
  const cluster = await createReplicaCluster();
  for (const text of ["a", "b", "c", "d", "e"]) await settled(cluster, cluster.produce(one, text));
  const abort = new AbortController();
  const call = (at: BrokerId, request: Parameters<typeof create<typeof DeleteRecordsRequestSchema>>[1]) =>
    createDeleteRecords({
      table: cluster.broker(at).table,
      runtime: cluster.time,
      storedLogStarts: { missing: async (_, logStart) => missing(logStart) },
    })(create(DeleteRecordsRequestSchema, request), abort);
  const before = (beforeOffset?: bigint, at = one) =>
    settled(
      cluster,
      call(at, { topic: "t", partitions: [{ partition: 0, ...(beforeOffset === undefined ? {} : { beforeOffset }) }] }),
    );
  const logOf = (at: BrokerId) => cluster.broker(at).partition().log;
  return { cluster, abort, call, before, logOf };
}

/** What a promise comes to while time passes. */
async function settled<Value>(cluster: ReplicaCluster, promise: Promise<Value>): Promise<Value> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  promise.then(end, end);
  await cluster.until(() => isOver);
  return promise;
}

describe("deleting records (L7)", () => {
  it("moves the log start, on the followers too, and answers where it is", async () => {
    const { cluster, before, logOf } = await fiveRecords();
    expect(await before(3n)).toMatchObject({ partitions: [{ partition: 0, logStart: 3n }] });
    await cluster.until(() => [one, two, three].every((id) => logOf(id).storedLogStart === 3n));
    expect(await cluster.textsAt(two)).toEqual(["d", "e"]);
  });

  it("deletes everything committed where no offset is named, and nothing below what is gone already", async () => {
    const { before, logOf } = await fiveRecords();
    expect(await before()).toMatchObject({ partitions: [{ logStart: 5n }] });
    expect(await before(2n)).toMatchObject({ partitions: [{ logStart: 5n }] });
    expect(logOf(one).logStartOffset).toBe(5n);
  });

  it("never passes the high watermark", async () => {
    const { cluster, before, logOf } = await fiveRecords();
    cluster.exchange.cut(one, two);
    cluster.exchange.cut(one, three);
    cluster.produce(one, "uncommitted").catch(() => undefined);
    await cluster.advance(50);
    await expect(before(6n)).rejects.toMatchObject({
      reason: Reason.OFFSET_OUT_OF_RANGE,
      fields: { highWatermark: 5n },
    });
    expect(logOf(one).logStartOffset).toBe(0n);
  });

  it("is answered only when no live replica lacks the log start", async () => {
    const asked: Offset[] = [];
    const { cluster, before } = await fiveRecords((logStart) => {
      asked.push(logStart);
      return asked.length < 4 ? [two] : [];
    });
    const startMs = cluster.time.clock.monotonicMs();
    expect(await before(2n)).toMatchObject({ partitions: [{ logStart: 2n }] });
    expect(asked).toEqual([2n, 2n, 2n, 2n]);
    expect(cluster.time.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(150);
  });

  it("ends as unknown where a replica has not stored it in time, and says which", async () => {
    const { cluster, abort, before } = await fiveRecords(() => [three]);
    cluster.time.scheduler.after(120, () => abort.abort());
    await expect(before(2n)).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
      message: expect.stringContaining("broker 3") as string,
    });
  });

  it("ends as unknown with the leadership", async () => {
    const { cluster, call } = await fiveRecords(() => [three]);
    const deleting = call(one, { topic: "t", partitions: [{ partition: 0, beforeOffset: 2n }] });
    cluster.time.scheduler.after(60, () => {
      cluster.controller.elect(two, [two, three]);
      cluster.publish().catch(() => undefined);
    });
    await expect(settled(cluster, deleting)).rejects.toMatchObject({
      reason: Reason.NOT_LEADER,
      outcome: Outcome.UNKNOWN,
    });
  });

  it.each([
    ["no partition", { topic: "t" }, Reason.INVALID_ARGUMENT],
    ["a partition twice", { topic: "t", partitions: [{ partition: 0 }, { partition: 0 }] }, Reason.INVALID_ARGUMENT],
    ["a negative offset", { topic: "t", partitions: [{ partition: 0, beforeOffset: -1n }] }, Reason.INVALID_ARGUMENT],
    ["a partition that is not there", { topic: "t", partitions: [{ partition: 7 }] }, Reason.UNKNOWN_PARTITION],
    ["a foreign topic id", { topic: "t", topicId: "x", partitions: [{ partition: 0 }] }, Reason.UNKNOWN_TOPIC_ID],
  ])("refuses %s", async (_, request, reason) => {
    const { call, logOf } = await fiveRecords();
    await expect(call(one, request)).rejects.toMatchObject({ reason });
    expect(logOf(one).logStartOffset).toBe(0n);
  });

  it("is refused by a follower, and told for each partition where several are named", async () => {
    const { call, before } = await fiveRecords();
    await expect(before(2n, two)).rejects.toMatchObject({ reason: Reason.NOT_LEADER });
    const { partitions } = await call(two, { topic: "t", partitions: [{ partition: 0 }, { partition: 7 }] });
    expect(partitions).toMatchObject([
      { partition: 0, error: { reason: Reason.NOT_LEADER } },
      { partition: 7, error: { reason: Reason.UNKNOWN_PARTITION } },
    ]);
  });
});
