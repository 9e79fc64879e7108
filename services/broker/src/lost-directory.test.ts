/** A broker that has no more the log directory in which the metadata record its replica. */
import { type DirectoryId, directoryId } from "@tidemark/ids";
import { describe, expect, it, test } from "vitest";
import { thePartition } from "./testing/fake-controller.ts";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "./testing/replica-cluster.ts";

const lost = directoryId("00000000-0000-4000-8000-00000000dead");
const epochOf = (cluster: ReplicaCluster) => cluster.controller.image.sessions.get(three)?.brokerEpoch ?? 0;

function place(cluster: ReplicaCluster, id: DirectoryId | undefined): void {
  const { replicas } = cluster.controller.partition();
  cluster.controller.change({
    replicas: replicas.map((each) => (each.brokerId === three ? { ...each, directoryId: id } : each)),
  });
}

async function produced(cluster: ReplicaCluster, text: string): Promise<void> {
  let outcome: string | undefined;
  cluster.produce(one, text).then(
    ({ kind }) => {
      outcome = kind;
    },
    () => undefined,
  );
  await cluster.until(() => outcome !== undefined);
  expect(outcome).toBe("acknowledged");
}

/** The third broker is back without the directory that the metadata record, in this state of the partition. */
async function replaced(state: "led" | "eligible" | "without leader" | "regressed", hasFailedDirectory = false) {
  const cluster = await createReplicaCluster({ directories: 2, minIsr: 3, hasFailedDirectory });
  await produced(cluster, "a");
  await cluster.stop(three);
  place(cluster, lost);
  cluster.controller.change({ isr: [one, two], elr: state === "eligible" ? [three] : [] });
  if (state === "without leader") cluster.controller.change({ leader: undefined, isr: [] });
  if (state === "regressed") cluster.controller.change({ regressedFrom: 9 as never });
  await cluster.start(three);
  return cluster;
}

describe("a replica whose log directory is gone", () => {
  it("is asked for by one registration, made in the directory that is recorded then, and copied", async () => {
    const cluster = await replaced("led");
    const [before, other] = cluster.broker(three).directories;
    const epoch = epochOf(cluster);
    await cluster.advance(1000);
    expect(epochOf(cluster)).toBe(epoch + 1);
    expect(cluster.broker(three).table.offline()).toHaveLength(1);
    expect(other?.replicas()).toEqual([]);
    await cluster.advance(1000);
    expect(epochOf(cluster)).toBe(epoch + 1);
    place(cluster, other?.id);
    await cluster.until(() => cluster.controller.partition().isr.includes(three));
    expect(other?.replicas()).toMatchObject([thePartition]);
    expect(await cluster.textsAt(three)).toEqual(["a"]);
    expect(cluster.broker(three).table.offline()).toEqual([]);
    expect(before?.id).not.toBe(other?.id);
  });

  test.each([
    ["that is eligible still", "eligible", false],
    ["of a partition without a leader", "without leader", false],
    ["whose metadata are older than replicas", "regressed", false],
    ["whose broker has a directory that failed", "led", true],
  ] as const)("%s waits: nothing is asked for, and nothing made", async (_, state, hasFailed) => {
    const cluster = await replaced(state, hasFailed);
    const epoch = epochOf(cluster);
    await cluster.advance(1000);
    expect(epochOf(cluster)).toBe(epoch);
    expect(cluster.broker(three).table.offline()).toHaveLength(1);
    expect(cluster.broker(three).directories[1]?.replicas()).toEqual([]);
  });

  it("is asked for once in a leader epoch, whatever else changes in its partition", async () => {
    const cluster = await replaced("led");
    const epoch = epochOf(cluster);
    await cluster.until(() => epochOf(cluster) === epoch + 1);
    for (let round = 0; round < 3; round++) {
      const { partitionEpoch, replicas } = cluster.controller.partition();
      cluster.controller.change({ replicas: [...replicas] });
      expect(cluster.controller.partition().partitionEpoch).toBeGreaterThan(partitionEpoch);
      await cluster.advance(1000);
    }
    expect(epochOf(cluster)).toBe(epoch + 1);
  });

  it("is asked for as soon as it is not eligible any more", async () => {
    const cluster = await replaced("eligible");
    const epoch = epochOf(cluster);
    await cluster.advance(500);
    cluster.controller.change({ elr: [] });
    await cluster.until(() => epochOf(cluster) > epoch);
  });

  it("is set aside where it lies when that directory is back beside the new one, and never served", async () => {
    const cluster = await replaced("led");
    const [before, other] = cluster.broker(three).directories;
    place(cluster, other?.id);
    await cluster.until(() => cluster.controller.partition().isr.includes(three));
    await produced(cluster, "b");
    expect(before?.aside()).toMatchObject([thePartition]);
    // Both list it, as after a disk is mounted again.
    await before?.takeBack(thePartition);
    await cluster.stop(three);
    const started = await cluster.start(three);
    const [back, home] = started.directories;
    await cluster.until(() => back?.aside().length === 1);
    expect(home?.replicas()).toMatchObject([thePartition]);
    expect(back?.replicas()).toEqual([]);
    await cluster.until(() => cluster.controller.partition().isr.includes(three));
    expect(await cluster.textsAt(three)).toEqual(["a", "b"]);
    expect(cluster.logs.join("")).toMatch(/record in another directory of this broker: it is set aside/);
  });

  it("goes from both directories when its topic is deleted, which is confirmed then", async () => {
    const cluster = await replaced("led");
    const [before, other] = cluster.broker(three).directories;
    place(cluster, other?.id);
    await cluster.until(() => before?.aside().length === 1 && cluster.controller.partition().isr.includes(three));
    const { topicId, partition } = thePartition;
    cluster.controller.commit([
      { kind: "deletedTopic", topicId, value: { topicId, name: "t", awaited: [one, two, three] } },
      { kind: "partition", topicId, partition, value: undefined },
      { kind: "topic", name: "t", value: undefined },
    ]);
    await cluster.until(() => cluster.broker(three).table.deletions().length === 1);
    expect([before?.aside(), other?.replicas()]).toEqual([[], []]);
  });
});
