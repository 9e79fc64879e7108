import { describe, expect, it } from "vitest";
import { produced as producedAt } from "./testing/produced.ts";
import { createReplicaCluster, one, type ReplicaCluster, two } from "./testing/replica-cluster.ts";

/** The leader alone has to have it: the other one is away, or behind. */
const produced = (cluster: ReplicaCluster, text: string, at = one) => producedAt(cluster, text, { at, acks: "leader" });

const inSync = (cluster: ReplicaCluster) => cluster.controller.partition().isr;

/** Removes all that is committed at broker 1. */
async function deleteAll(cluster: ReplicaCluster) {
  const { log } = cluster.broker(one).partition();
  const moved = log.moveLogStart(log.highWatermark);
  await cluster.advance(100);
  await moved;
  expect(log.logStartOffset).toBe(log.logEndOffset);
}

/** Broker 2 leaves the ISR. */
async function leaves(cluster: ReplicaCluster) {
  cluster.controller.change({ isr: [one] });
  await cluster.publish();
}

describe("a follower whose leader has deleted what it lacks", () => {
  it("is not in sync before its disk is there: no offset is given out again when the power fails", async () => {
    const cluster = await createReplicaCluster({ replicas: [one, two], minIsr: 1 });
    await produced(cluster, "a");
    await cluster.stop(two);
    await leaves(cluster);
    for (const text of ["b", "c", "d", "e"]) await produced(cluster, text);
    await deleteAll(cluster);
    const { disk } = await cluster.start(two);
    const release = disk.holdSyncs();
    await cluster.advance(3000);
    expect(inSync(cluster)).toEqual([one]);
    release();
    await cluster.until(() => inSync(cluster).includes(two));
    cluster.crash(two);
    cluster.crash(one);
    cluster.controller.elect(two, [two]);
    await cluster.start(two);
    expect(await produced(cluster, "f", two)).toMatchObject({ baseOffset: 5n });
  });

  it("is not in sync either by what it has not flushed", async () => {
    const cluster = await createReplicaCluster({ replicas: [one, two], minIsr: 1 });
    await produced(cluster, "a");
    await cluster.until(() => cluster.broker(two).partition().highWatermark === 1n);
    cluster.broker(two).disk.holdSyncs();
    await leaves(cluster);
    await produced(cluster, "b");
    await cluster.until(() => cluster.broker(two).partition().log.writtenOffset === 2n);
    await deleteAll(cluster);
    await cluster.advance(3000);
    expect(inSync(cluster)).toEqual([one]);
  });

  it("goes on once there is room on a disk that took nothing of it", async () => {
    const cluster = await createReplicaCluster({ replicas: [one, two], minIsr: 1 });
    await produced(cluster, "a");
    await cluster.until(() => cluster.broker(two).partition().highWatermark === 1n);
    const { disk } = cluster.broker(two);
    const release = disk.holdSyncs();
    await leaves(cluster);
    await produced(cluster, "b");
    await cluster.until(() => cluster.broker(two).partition().log.writtenOffset === 2n);
    await produced(cluster, "c");
    await cluster.until(() => cluster.broker(two).partition().log.logEndOffset === 3n);
    const empty = disk.fill();
    await deleteAll(cluster);
    await cluster.advance(1000);
    release();
    await cluster.advance(1000);
    empty();
    await cluster.until(() => inSync(cluster).includes(two));
    expect(cluster.logs.join("")).not.toContain("is out of service");
    expect(cluster.broker(two).partition().log).toMatchObject({ logStartOffset: 3n, logEndOffset: 3n });
  });
});
