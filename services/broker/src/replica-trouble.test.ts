import { type DirectoryId, directoryId } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it } from "vitest";
import { theTopic } from "./testing/fake-controller.ts";
import { produced } from "./testing/produced.ts";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "./testing/replica-cluster.ts";

const logFile = `/log0/${theTopic}-0/${"0".repeat(20)}.log`;

async function withRecords(...texts: readonly string[]): Promise<ReplicaCluster> {
  const cluster = await createReplicaCluster();
  for (const text of texts) expect(await produced(cluster, text)).toMatchObject({ kind: "acknowledged" });
  return cluster;
}

const inSync = (cluster: ReplicaCluster) => cluster.controller.partition().isr;
const epochOf = (cluster: ReplicaCluster, broker = three) => cluster.controller.image.sessions.get(broker)?.brokerEpoch;

describe("a damaged replica", () => {
  it("is told of, keeps everything until it is out of ISR and ELR, and is then copied in a newer broker epoch", async () => {
    const cluster = await withRecords("a", "b");
    await cluster.stop(three);
    cluster.disk(three).flipBit(logFile, { byte: 70, bit: 1 });
    const before = cluster.disk(three).peek(logFile);
    cluster.setControllerReachable(false);
    await cluster.start(three);
    const { table } = cluster.broker(three);
    expect(table.damaged()).toMatchObject([{ topicId: theTopic, partition: 0 }]);
    await cluster.advance(3000);
    expect(cluster.disk(three).peek(logFile)).toEqual(before);
    expect(() => cluster.broker(three).partition()).toThrow(/damaged/);
    const epoch = epochOf(cluster);
    cluster.setControllerReachable(true);
    await cluster.until(() => inSync(cluster).length === 2);
    await cluster.until(() => inSync(cluster).length === 3);
    expect(epochOf(cluster)).toBe((epoch ?? 0) + 1);
    expect(table.damaged()).toEqual([]);
    expect(await cluster.textsAt(three)).toEqual(["a", "b"]);
  });

  it("stays as it is while it stands in the ELR: it may be all that there is", async () => {
    const cluster = await withRecords("a", "b");
    await cluster.stop(three);
    cluster.disk(three).flipBit(logFile, { byte: 70, bit: 1 });
    cluster.setControllerReachable(false);
    await cluster.start(three);
    cluster.controller.change({ isr: [one], elr: [three] });
    const before = cluster.disk(three).peek(logFile);
    await cluster.publish();
    await cluster.advance(1000);
    expect(cluster.disk(three).peek(logFile)).toEqual(before);
    expect(cluster.broker(three).table.damaged()).toHaveLength(1);
  });

  it("is closed when it is dropped, and damaged still when it is assigned again", async () => {
    const cluster = await withRecords("a", "b");
    await cluster.stop(three);
    cluster.disk(three).flipBit(logFile, { byte: 70, bit: 1 });
    cluster.setControllerReachable(false);
    await cluster.start(three);
    const { replicas } = cluster.controller.partition();
    const { table } = cluster.broker(three);
    cluster.controller.change({ replicas: replicas.filter(({ brokerId }) => brokerId !== three), isr: [one], elr: [] });
    await cluster.publish();
    await cluster.advance(1000);
    expect(table.damaged()).toEqual([]);
    // Where its log were open still, it could not be opened again.
    cluster.controller.change({ replicas, elr: [three] });
    await cluster.publish();
    await cluster.advance(1000);
    expect(table.damaged()).toMatchObject([{ topicId: theTopic, partition: 0 }]);
    expect(() => cluster.broker(three).partition()).toThrow(/damaged/);
  });

  it("is told of when no start forgets it any more: until then it is offline, and is not copied anew (seed 2300263)", async () => {
    const cluster = await withRecords("a", "b");
    const { table, disk, partition } = cluster.broker(three);
    cluster.disk(three).flipBit(logFile, { byte: 65, bit: 1 });
    const before = cluster.disk(three).peek(logFile);
    const release = disk.holdSyncs();
    await expect(partition().log.offsetForTimestamp(0n)).rejects.toThrow(/sound batch/);
    // Metadata come that show it out, for whatever reason.
    cluster.controller.change({ isr: [one, two] });
    await cluster.publish();
    await cluster.advance(1000);
    expect(table.damaged()).toEqual([]);
    expect(table.offline()).toMatchObject([{ topicId: theTopic, partition: 0 }]);
    expect(cluster.disk(three).peek(logFile)).toEqual(before);
    release();
    await cluster.until(() => table.damaged().length > 0);
    expect(table.offline()).toEqual([]);
    await cluster.publish();
    await cluster.until(() => inSync(cluster).includes(three));
    expect(await cluster.textsAt(three)).toEqual(["a", "b"]);
  });

  it("20i: that was found while its broker ran ends its leadership; what it had reported counts in no newer epoch", async () => {
    const cluster = await withRecords("a", "b");
    cluster.disk(one).flipBit(logFile, { byte: 65, bit: 1 });
    const epoch = epochOf(cluster, one);
    // What was written last is read from memory; a lookup by time looks at the disk.
    await expect(cluster.broker(one).partition().log.offsetForTimestamp(0n)).rejects.toThrow(/sound batch/);
    expect(await cluster.produce(one, "lost").catch((error: unknown) => error)).toMatchObject({
      reason: Reason.LOG_DIRECTORY_FAILED,
      outcome: Outcome.NOT_APPLIED,
    });
    await cluster.until(() => cluster.controller.partition().leader === two);
    await cluster.until(() => inSync(cluster).includes(one));
    expect(epochOf(cluster, one)).toBe((epoch ?? 0) + 1);
    expect(await produced(cluster, "c", { at: two })).toMatchObject({ kind: "acknowledged", baseOffset: 2n });
    expect(await cluster.textsAt(one)).toEqual(["a", "b", "c"]);
  });
});

describe("a log directory that fails", () => {
  it("ends what is pending as unknown, and serves nothing any more", async () => {
    const cluster = await withRecords("a");
    cluster.broker(one).disk.breakSyncs();
    const outcome = await produced(cluster, "b");
    expect(outcome).toMatchObject({
      error: { reason: Reason.LOG_DIRECTORY_FAILED, outcome: Outcome.UNKNOWN, fields: { baseOffset: 1n } },
    });
    expect(cluster.broker(one).directories[0]?.failure?.code).toBe("DIRECTORY_FAILED");
    expect(await produced(cluster, "c")).toMatchObject({
      error: { reason: Reason.LOG_DIRECTORY_FAILED, outcome: Outcome.NOT_APPLIED },
    });
    cluster.controller.elect(two, [two, three]);
    await cluster.publish();
    expect(await produced(cluster, "d", { at: two })).toMatchObject({ kind: "acknowledged" });
  });
});

describe("a replica that the metadata record in another directory", () => {
  it("27f: is never made empty here: it is reported, and served when that directory is back", async () => {
    const cluster = await createReplicaCluster({ directories: 2 });
    await produced(cluster, "a");
    const [home, other] = cluster.broker(three).directories;
    const elsewhere = directoryId("00000000-0000-4000-8000-00000000dead");
    const place = (id: DirectoryId | undefined) => {
      const { replicas } = cluster.controller.partition();
      cluster.controller.change({
        replicas: replicas.map((each) => (each.brokerId === three ? { ...each, directoryId: id } : each)),
      });
    };
    await cluster.stop(three);
    place(elsewhere);
    await cluster.start(three);
    expect(cluster.broker(three).table.offline()).toHaveLength(1);
    expect(() => cluster.broker(three).partition()).toThrow(/is not there/);
    expect(other?.replicas()).toEqual([]);
    await cluster.stop(three);
    place(home?.id);
    await cluster.start(three);
    expect(cluster.broker(three).table.offline()).toEqual([]);
    expect(await cluster.textsAt(three)).toEqual(["a"]);
  });
});

describe("a leader that alone is eligible", () => {
  it("fences itself when it hears nobody only where unclean elections are allowed for the cluster", async () => {
    const cluster = await createReplicaCluster({ replicas: [one] });
    const hasFenced = () => cluster.events.some((event) => event.startsWith("1: fenced itself"));
    cluster.setControllerReachable(false);
    await cluster.advance(10_000);
    expect(hasFenced()).toBe(false);
    cluster.broker(one).table.setUncleanDefault(true);
    await cluster.until(hasFenced);
  });
});

describe("a broker that registers anew", () => {
  it("leads nothing until newer metadata say so, and acts upon none from before", async () => {
    const cluster = await withRecords("a");
    cluster.broker(one).table.resignAll("the session was lost");
    expect(await produced(cluster, "b")).toMatchObject({
      error: { reason: Reason.LEADER_NOT_AVAILABLE, outcome: Outcome.NOT_APPLIED },
    });
    cluster.controller.elect(one, [one, two, three]);
    const { revision, controllerEpoch } = cluster.controller.update();
    const at = { controllerEpoch, revision: (revision + 1n) as never };
    cluster.broker(one).table.registered({ brokerEpoch: 9 as never, ...at });
    await cluster.publish(one);
    expect(cluster.broker(one).partition().isLed).toBe(false);
    cluster.controller.register(two, []);
    await cluster.publish(one);
    expect(cluster.broker(one).partition().isLed).toBe(true);
    expect(cluster.broker(one).partition().view().brokerEpoch).toBe(9);
  });
});
