import { type Consensus, ConsensusError } from "@tidemark/consensus";
import {
  AddPartitionsRequestSchema,
  ConfigureTopicRequestSchema,
  DeleteTopicRequestSchema,
  DescribeClusterRequestSchema,
  DescribeElectionsRequestSchema,
  ElectLeadersRequestSchema,
  ListBrokersRequestSchema,
  ListTopicsRequestSchema,
} from "@tidemark/proto/admin/v1";
import {
  DescribeQuorumRequestSchema,
  GetRequestSchema,
  ListRequestSchema,
  WatchRequestSchema,
} from "@tidemark/proto/admin/v1/metadata";
import {
  AllocateProducerIdsRequestSchema,
  AlterPartitionRequestSchema,
  ConfirmLeaderRequestSchema,
} from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { afterEach, describe, expect, it } from "vitest";
import {
  callContext,
  createTopic,
  describeTopic,
  epochOf,
  joinBroker,
  passTime,
  register,
  request,
} from "./testing/calls.ts";
import { backends } from "./testing/stores.ts";
import { createWorld, type TestStore, type World } from "./testing/world.ts";

const context = callContext();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function kept<Store extends TestStore>(world: World<Store>): World<Store> {
  closing.push(() => world.close());
  return world;
}

describe.each(backends)("a controller on %s", (_, create) => {
  const open = async () => kept(await create());

  it("sets up the cluster on an empty store and tells its id", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.until(() => node.clusters.length > 0, "the cluster is known");
    const query = request(DescribeClusterRequestSchema);
    const cluster = await w.settle(node.controller.admin.describeCluster(query, context));
    expect(cluster.clusterId).toBe(node.clusters[0]);
    expect(cluster.clusterId).toMatch(/^[0-9a-f-]{36}$/);
    expect(cluster.controller).toEqual(
      expect.objectContaining({ id: 1, endpoint: "controller-1.test:4650", controllerEpoch: epochOf(node) }),
    );
  });

  it("takes the configured cluster id", async () => {
    const w = await open();
    const node = await w.start(1, { configured: "blue" });
    await w.until(() => node.clusters.length > 0, "the cluster is known");
    expect(node.clusters).toEqual(["blue"]);
  });

  it("registers brokers, makes a topic on them, and tells both", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    for (const id of [1, 2, 3]) {
      const answer = await w.settle(register(node, id));
      expect(answer).toMatchObject({ brokerEpoch: 1, controllerEpoch: epochOf(node), sessionTimeoutMs: 6000 });
    }
    const { topic } = await w.settle(createTopic(node, "orders", { partitions: 6 }));
    expect(topic).toMatchObject({ name: "orders", replicationFactor: 3 });
    const described = await w.settle(describeTopic(node, "orders"));
    expect(described).toEqual(topic);
    expect(described.partitions.map(({ leader, isr }) => isr.includes(leader ?? -1) && isr.length)).toEqual(
      Array.from({ length: 6 }, () => 3),
    );
    const listed = await w.settle(node.controller.admin.listTopics(request(ListTopicsRequestSchema), context));
    expect(listed.topics).toMatchObject([{ name: "orders", partitions: 6 }]);
    const { brokers } = await w.settle(node.controller.admin.listBrokers(request(ListBrokersRequestSchema), context));
    expect(brokers?.map(({ alive, leaders, replicas }) => ({ alive, leaders, replicas }))).toEqual(
      Array.from({ length: 3 }, () => ({ alive: true, leaders: 2, replicas: 6 })),
    );
  });

  it("has it all after a kill -9 and a restart, in a newer controller epoch", async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    await w.settle(register(first, 1));
    const { topic } = await w.settle(createTopic(first, "orders", { partitions: 3 }));
    const [clusterId] = first.clusters;
    w.kill(first);
    const second = await w.start(1, clusterId === undefined ? {} : { known: clusterId });
    await w.active();
    expect(await w.settle(describeTopic(second, "orders"))).toEqual(topic);
    expect(await w.settle(register(second, 2))).toMatchObject({ controllerEpoch: epochOf(second), clusterId });
    expect(epochOf(second)).toBeGreaterThan(epochOf(first));
    // The session of the broker that did not restart still stands.
    expect(second.controller.image.sessions.size).toBe(2);
  });

  it("gives each producer id to one broker only, also across a restart", async () => {
    const w = await open();
    let node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const call = request(AllocateProducerIdsRequestSchema, { brokerId: 1, brokerEpoch: 1 });
    const blocks = [await w.settle(node.controller.cluster.allocateProducerIds(call, context))];
    w.kill(node);
    node = await w.start(1);
    await w.active();
    blocks.push(await w.settle(node.controller.cluster.allocateProducerIds(call, context)));
    expect(blocks).toMatchObject([
      { firstProducerId: 0n, count: 1000 },
      { firstProducerId: 1000n, count: 1000, controllerEpoch: epochOf(node) },
    ]);
  });

  it("deletes a topic, and one made again under its name is another", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    const broker = await joinBroker(w, node, 1);
    const { topic: old } = await w.settle(createTopic(node, "orders"));
    const remove = request(DeleteTopicRequestSchema, { topic: "orders", topicId: old?.topicId ?? "" });
    expect(await w.settle(node.controller.admin.deleteTopic(remove, context))).toEqual({ topicId: old?.topicId });
    const { topic: made } = await w.settle(createTopic(node, "orders"));
    expect(made?.topicId).not.toBe(old?.topicId);
    await expect(w.settle(node.controller.admin.deleteTopic(remove, context))).rejects.toMatchObject({
      reason: Reason.UNKNOWN_TOPIC_ID,
    });
    // The note of the deletion stands until the broker has carried it out.
    expect(node.controller.image.deletedTopics.size).toBe(1);
    broker.beat({ confirmedDeletions: [old?.topicId ?? ""] });
    await w.until(() => node.controller.image.deletedTopics.size === 0, "the deletion is confirmed");
  });

  it("adds partitions and configures a topic", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    for (const id of [1, 2, 3]) await w.settle(register(node, id));
    await w.settle(createTopic(node, "orders", { partitions: 2, settings: { "retention.ms": "1000" } }));
    const add = request(AddPartitionsRequestSchema, { topic: "orders", partitions: 5 });
    expect((await w.settle(node.controller.admin.addPartitions(add, context))).topic?.partitions).toHaveLength(5);
    const configure = request(ConfigureTopicRequestSchema, {
      topic: "orders",
      set: { "min.insync.replicas": "3" },
      unset: ["retention.ms"],
    });
    const { topic } = await w.settle(node.controller.admin.configureTopic(configure, context));
    expect(topic?.settings).toEqual({ "min.insync.replicas": "3" });
    expect(topic?.partitions?.map((partition) => partition.minIsr)).toEqual([3, 3, 3, 3, 3]);
  });

  it("refuses to go on with the store of another cluster, or with one whose cluster is missing", async () => {
    const w = await open();
    const empty = await w.start(1, { known: "gone" });
    await w.until(() => empty.fatal.length > 0, "refused");
    expect(empty.fatal[0]?.message).toContain("the store holds no cluster");
    w.kill(empty);
    const blue = await w.start(2, { configured: "blue" });
    await w.active();
    await w.until(() => blue.clusters.length > 0, "the cluster is known");
    const other = await w.start(3, { known: "red" });
    await w.until(() => other.fatal.length > 0, "refused");
    expect(other.fatal[0]?.message).toContain("the store belongs to blue");
    expect(other.fatal).toHaveLength(1);
    expect(other.controller.isActive).toBe(false);
  });

  it("refuses a store of a newer format, and changes nothing in it", async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    await w.until(() => first.clusters.length > 0, "the cluster is known");
    const newer = { clusterId: first.clusters[0], formatVersion: 2, featureLevel: 1 };
    await w.settle(w.store.plant("/cluster", new TextEncoder().encode(JSON.stringify(newer))));
    await w.until(() => first.fatal.length > 0, "refused where it runs");
    w.kill(first);
    const second = await w.start(2);
    await w.until(() => second.fatal.length > 0, "refused where it starts");
    for (const { fatal } of [first, second]) {
      expect(fatal[0]?.message).toBe(
        "The store has the format version 2, and this version of Tidemark knows 1 at most",
      );
    }
    expect(second.controller.isActive).toBe(false);
  });
});

/** Everything that a handle on the store knows to be committed. */
async function entriesOf(w: World, handle: Consensus): Promise<ReadonlyMap<string, Uint8Array>> {
  const { signal } = new AbortController();
  await w.settle(handle.sync(signal));
  const snapshot = async () => {
    for await (const event of handle.watch(signal)) if (event.kind === "snapshot") return event.entries;
    throw new Error("A watch begins with a snapshot");
  };
  return w.settle(snapshot());
}

describe("a controller", () => {
  const open = async () => kept(await createWorld());
  const withBrokers = async (...ids: readonly number[]) => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    const brokers = [];
    for (const id of ids) brokers.push(await joinBroker(w, node, id));
    return { w, node, brokers };
  };

  it("answers NOT_CONTROLLER with a hint where another one is active", async () => {
    const w = await open();
    await w.start(1);
    await w.active();
    const standby = await w.start(2);
    await w.until(() => standby.controller.image.cluster !== undefined, "the standby follows");
    const expected = {
      reason: Reason.NOT_CONTROLLER,
      outcome: Outcome.NOT_APPLIED,
      fields: { controller: { id: 1, endpoint: "controller-1.test:4650", controllerEpoch: 1 } },
    };
    await expect(w.settle(createTopic(standby, "orders"))).rejects.toMatchObject(expected);
    await expect(w.settle(register(standby, 1))).rejects.toMatchObject(expected);
    await expect(w.settle(describeTopic(standby, "orders"))).rejects.toMatchObject(expected);
  });

  it("only checks a topic where that is what was asked", async () => {
    const { w, node } = await withBrokers(1);
    const { topic } = await w.settle(createTopic(node, "orders", { partitions: 4, validateOnly: true }));
    expect(topic?.partitions).toHaveLength(4);
    await expect(w.settle(describeTopic(node, "orders"))).rejects.toMatchObject({ reason: Reason.UNKNOWN_TOPIC });
  });

  it("changes the ISR for the leader, compares epochs, and says which proposals failed", async () => {
    const { w, node } = await withBrokers(1, 2, 3);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const [partition] = topic?.partitions ?? [];
    const leader = partition?.leader ?? 0;
    const item = (partitionEpoch: number) => ({
      topicId: topic?.topicId ?? "",
      partition: 0,
      leaderEpoch: 0,
      partitionEpoch,
      isr: [{ brokerId: leader, brokerEpoch: 1 }],
    });
    const alter = (...partitions: ReturnType<typeof item>[]) =>
      w.settle(
        node.controller.cluster.alterPartition(
          request(AlterPartitionRequestSchema, { brokerId: leader, brokerEpoch: 1, partitions }),
          context,
        ),
      );
    const shrunk = await alter(item(0), { ...item(0), topicId: "00000000-0000-4000-8000-000000000000" });
    expect(shrunk.controllerEpoch).toBe(1);
    expect(shrunk.results).toMatchObject([
      { state: { isr: [leader], partitionEpoch: 1 } },
      { error: { reason: Reason.UNKNOWN_TOPIC_ID, outcome: Outcome.NOT_APPLIED } },
    ]);
    // The repeat of a proposal whose success was lost is a success again (case 20b).
    expect((await alter(item(0))).results).toMatchObject([{ state: { isr: [leader], partitionEpoch: 1 } }]);
    expect((await alter(item(7))).results).toMatchObject([{ error: { reason: Reason.INVALID_PARTITION_EPOCH } }]);
    expect((await w.settle(describeTopic(node, "orders"))).partitions[0]?.isr).toEqual([leader]);
  });

  it("confirms a leader in its leader epoch, and nobody else", async () => {
    const { w, node } = await withBrokers(1);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const ask = (brokerId: number, leaderEpoch: number) =>
      w.settle(
        node.controller.cluster.confirmLeader(
          request(ConfirmLeaderRequestSchema, { topicId: topic?.topicId ?? "", partition: 0, brokerId, leaderEpoch }),
          context,
        ),
      );
    expect(await ask(1, 0)).toEqual({ controllerEpoch: 1, leads: true });
    expect(await ask(2, 0)).toMatchObject({ leads: false });
    expect(await ask(1, 1)).toMatchObject({ leads: false });
  });

  it("gives leadership back to the preferred replica, and tells elections with their causes", async () => {
    const { w, node, brokers } = await withBrokers(1, 2, 3);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const preferred = topic?.partitions?.[0]?.leader ?? 0;
    await w.settle(register(node, preferred));
    const moved = (await w.settle(describeTopic(node, "orders"))).partitions[0];
    expect(moved?.leader).not.toBe(preferred);
    const elect = request(ElectLeadersRequestSchema, { topic: "orders" });
    const { results } = await w.settle(node.controller.admin.electLeaders(elect, context));
    expect(results).toMatchObject([{ topic: "orders", leader: preferred, leaderEpoch: 2 }]);
    const query = request(DescribeElectionsRequestSchema, { topic: "orders" });
    const { elections } = await w.settle(node.controller.admin.describeElections(query, context));
    expect(elections?.map(({ newLeader, leaderEpoch }) => [newLeader, leaderEpoch])).toEqual([
      [preferred, 2],
      [moved?.leader, 1],
      [preferred, 0],
    ]);
    expect(brokers).toHaveLength(3);
  });

  it("shows the tree itself, key by key, as people know it", async () => {
    const { w, node } = await withBrokers(1);
    await w.settle(createTopic(node, "orders"));
    const { metadata } = node.controller;
    const { entry } = await w.settle(metadata.get(request(GetRequestSchema, { key: "/topics/orders" }), context));
    expect(entry?.value?.kind).toMatchObject({ case: "structValue", value: { fields: {} } });
    const absent = await w.settle(metadata.get(request(GetRequestSchema, { key: "/topics/none" }), context));
    expect(absent.entry).toBeUndefined();
    const { entries } = await w.settle(metadata.list(request(ListRequestSchema, { prefix: "/brokers/" }), context));
    expect(entries?.map(({ key }) => key)).toEqual(["/brokers/ids/1", "/brokers/known/1"]);
    const quorum = await w.settle(metadata.describeQuorum(request(DescribeQuorumRequestSchema), context));
    expect(quorum).toMatchObject({ leader: 1, controllerEpoch: 1, members: [{ controllerId: 1, alive: true }] });
  });

  it("lets the tree be watched: all of it first, then each change", async () => {
    const { w, node } = await withBrokers(1);
    const abort = new AbortController();
    const seen: string[] = [];
    const watch = async () => {
      const call = request(WatchRequestSchema, { prefix: "/topics/" });
      for await (const { put = [], removed = [], snapshot } of node.controller.metadata.watch(
        call,
        callContext(abort.signal),
      )) {
        seen.push(`${snapshot === true ? "snapshot" : "change"} +${put.map((e) => e.key).join()} -${removed.join()}`);
      }
    };
    const watching = watch();
    await w.until(() => seen.length === 1, "the snapshot");
    await w.settle(createTopic(node, "orders"));
    await w.settle(node.controller.admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: "orders" }), context));
    await w.until(() => seen.length === 3, "both changes");
    abort.abort();
    await w.settle(watching);
    expect(seen).toEqual(["snapshot + -", "change +/topics/orders -", "change + -/topics/orders"]);
  });

  // What simulated seed 20003 found, where the disk of a controller failed.
  it("ends a watch of the tree with NOT_CONTROLLER when its store fails, and calls that no defect", async () => {
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      async *watch(signal) {
        yield* consensus.watch(signal);
        throw new ConsensusError("FAILED", "IO: sync /data/metadata.log");
      },
    });
    const w = await createWorld();
    closing.push(() => w.close());
    const node = await w.start(1, { wrap });
    await w.active();
    const call = request(WatchRequestSchema, { prefix: "/topics/" });
    const abort = new AbortController();
    const watched = node.controller.metadata.watch(call, callContext(abort.signal));
    const frames = watched[Symbol.asyncIterator]();
    await w.settle(frames.next());
    const ended = frames.next();
    abort.abort();
    await expect(w.settle(ended)).rejects.toMatchObject({ reason: Reason.NOT_CONTROLLER });
  });

  it("refuses a broker of another cluster, and one that saw a newer controller epoch", async () => {
    const { w, node } = await withBrokers(1);
    await expect(w.settle(register(node, 2, { clusterId: "another" }))).rejects.toMatchObject({
      reason: Reason.CLUSTER_ID_MISMATCH,
    });
    await expect(w.settle(register(node, 2, { controllerEpoch: 9 }))).rejects.toMatchObject({
      reason: Reason.METADATA_REGRESSED,
    });
    expect(node.events.filter((event) => event.kind === "regressed")).toHaveLength(1);
    expect(node.controller.image.sessions.size).toBe(1);
  });

  it("refuses a broker that says to have seen a controller epoch which no cluster gets to, and goes on", async () => {
    const { w, node } = await withBrokers(1);
    await expect(w.settle(register(node, 2, { controllerEpoch: 2 ** 31 - 1 }))).rejects.toMatchObject({
      reason: Reason.INVALID_ARGUMENT,
    });
    expect(await w.settle(createTopic(node, "orders"))).toMatchObject({ topic: { name: "orders" } });
    expect(await w.settle(register(node, 2))).toMatchObject({ brokerEpoch: 1 });
  });

  it("decides nothing on a store whose import has not ended, and leaves what was brought in as it is", async () => {
    const { w: source, node: exporter } = await withBrokers(1);
    await source.settle(createTopic(exporter, "orders"));
    const brought = [...(await entriesOf(source, await source.settle(source.store.start(2))))].filter(([key]) =>
      key.startsWith("/partitions/"),
    );
    expect(brought).toHaveLength(1);
    const w = await open();
    const looker = await w.settle(w.store.start(2));
    // Topics come behind their partitions, and the cluster comes last.
    for (const [key, value] of brought) await w.settle(w.store.plant(key, value));
    const node = await w.start(1);
    await w.until(() => node.fatal.length > 0, "the start is refused");
    expect(node.fatal[0]?.message).toContain("an import did not end");
    await passTime(w, 2000, []);
    const kept = await entriesOf(w, looker);
    for (const [key, value] of brought) expect(kept.get(key)).toEqual(value);
    expect(kept.has("/cluster")).toBe(false);
  });

  it("tells a malformed key, lives on, and concludes nothing from its absence", async () => {
    const { w, node, brokers } = await withBrokers(1);
    await w.settle(createTopic(node, "orders"));
    await w.settle(w.store.plant("/topics/orders", new TextEncoder().encode("{")));
    await w.until(() => node.events.some((event) => event.kind === "malformedKey"), "told");
    await expect(w.settle(createTopic(node, "orders"))).rejects.toMatchObject({ reason: Reason.TOPIC_EXISTS });
    const standby = await w.start(2);
    w.kill(node);
    await w.until(() => standby.controller.isActive, "the standby takes over");
    await passTime(w, 2000, brokers);
    const { entries } = await w.settle(
      standby.controller.metadata.list(request(ListRequestSchema, { prefix: "/partitions/" }), context),
    );
    expect(entries).toHaveLength(1);
  });
});
