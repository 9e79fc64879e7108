import type { AppendOutcome, Consensus } from "@tidemark/consensus";
import { eachPartition } from "@tidemark/metadata";
import {
  ConfigureTopicRequestSchema,
  DeleteTopicRequestSchema,
  ListTopicsRequestSchema,
} from "@tidemark/proto/admin/v1";
import { ListRequestSchema } from "@tidemark/proto/admin/v1/metadata";
import { AllocateProducerIdsRequestSchema, MetadataFrame } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { afterEach, describe, expect, it, test } from "vitest";
import {
  callContext,
  createTopic,
  describeTopic,
  epochOf,
  joinBroker,
  openHeartbeat,
  openWatch,
  passTime,
  portOf,
  register,
  request,
} from "./testing/calls.ts";
import { backends } from "./testing/stores.ts";
import type { Node, World } from "./testing/world.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const context = callContext();

/** A handle whose process dies when it wants to append for the `count`th time from when it is told. */
function dyingAfter(): {
  readonly wrap: (of: Consensus) => Consensus;
  dieAfter(appends: number): void;
  hasDied(): boolean;
} {
  let left = Number.POSITIVE_INFINITY;
  let hasDied = false;
  return {
    wrap: (consensus) => ({
      ...consensus,
      append(epoch, changes) {
        if (left > 0) {
          left -= 1;
          return consensus.append(epoch, changes);
        }
        hasDied = true;
        return new Promise<AppendOutcome>(() => undefined);
      },
    }),
    dieAfter(appends) {
      left = appends;
    },
    hasDied: () => hasDied,
  };
}

/** What holds of the metadata at any quiet moment (GUARANTEES, invariants). */
function expectInvariants(node: Node): void {
  const { image } = node.controller;
  for (const { partition } of eachPartition(image)) {
    const { leader, isr, elr, minIsr, replicas } = partition;
    const assigned = replicas.map((replica) => replica.brokerId);
    expect(leader === undefined || isr.includes(leader)).toBe(true);
    expect([...isr, ...elr].every((id) => assigned.includes(id))).toBe(true);
    expect(isr.some((id) => elr.includes(id))).toBe(false);
    if (isr.length >= minIsr) expect(elr).toEqual([]);
    for (const id of isr) expect(image.sessions.has(id)).toBe(true);
  }
}

function errorOf(settled: PromiseSettledResult<unknown>): TidemarkError | undefined {
  const reason: unknown = settled.status === "rejected" ? settled.reason : undefined;
  return reason instanceof TidemarkError ? reason : undefined;
}

async function partitionKeys(w: World, node: Node): Promise<number> {
  const call = request(ListRequestSchema, { prefix: "/partitions/" });
  return (await w.settle(node.controller.metadata.list(call, context))).entries?.length ?? 0;
}

async function untilSwept(w: World, node: Node): Promise<void> {
  for (let turns = 0; turns < 1000; turns++) if ((await partitionKeys(w, node)) === 0) return;
  throw new Error("Partitions are left over");
}

describe.each(backends)("on %s,", (_, create) => {
  const open = async (): Promise<World> => {
    const w = await create();
    closing.push(() => w.close());
    return w;
  };

  /** The first is active, the second follows. */
  const openWithStandby = async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    return { w, first, second: await w.start(2) };
  };

  describe("a topic of 1,000 partitions, its controller killed between two batches (case 27d)", () => {
    test.each([0, 1, 5, 10])("after %i of 11: nothing is half visible, and the next one sweeps", async (batches) => {
      const w = await open();
      const death = dyingAfter();
      const first = await w.start(1, { wrap: death.wrap });
      await w.active();
      const second = await w.start(2);
      for (const id of [1, 2, 3]) await w.settle(register(first, id));
      death.dieAfter(batches);
      const creation = createTopic(first, "large", { partitions: 1000 });
      creation.catch(() => undefined);
      await w.until(() => death.hasDied(), "the process dies");
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      expect([...eachPartition(second.controller.image)]).toEqual([]);
      await w.until(() => second.events.some((e) => e.kind === "decided") || batches === 0, "its first decisions");
      expect(await partitionKeys(w, second)).toBe(0);
      const { topic } = await w.settle(createTopic(second, "large", { partitions: 1000 }));
      expect(topic?.partitions).toHaveLength(1000);
      expectInvariants(second);
    });

    it("deleted instead: the topic is gone with the first batch, and the next one completes it", async () => {
      const w = await open();
      const death = dyingAfter();
      const first = await w.start(1, { wrap: death.wrap });
      await w.active();
      const second = await w.start(2);
      await w.settle(register(first, 1));
      await w.settle(createTopic(first, "large", { partitions: 1000 }));
      death.dieAfter(1);
      const remove = request(DeleteTopicRequestSchema, { topic: "large" });
      const deletion = Promise.resolve(first.controller.admin.deleteTopic(remove, context));
      deletion.catch(() => undefined);
      await w.until(() => death.hasDied(), "the process dies");
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      await expect(w.settle(describeTopic(second, "large"))).rejects.toMatchObject({ reason: Reason.UNKNOWN_TOPIC });
      await untilSwept(w, second);
      expect(second.controller.image.deletedTopics.size).toBe(1);
    });
  });

  describe("a controller that dies", () => {
    test.each([0, 1, 2, 3])(
      "%i batches into a registration leaves what the next one completes (case 27g)",
      async (batches) => {
        const w = await open();
        const death = dyingAfter();
        const first = await w.start(1, { wrap: death.wrap });
        await w.active();
        const second = await w.start(2);
        for (const id of [1, 2]) await w.settle(register(first, id));
        await w.settle(createTopic(first, "orders", { partitions: 300 }));
        await w.settle(createTopic(first, "alone", { partitions: 300, replicationFactor: 1 }));
        death.dieAfter(batches);
        register(first, 1).catch(() => undefined);
        await w.until(() => death.hasDied(), "the process dies");
        w.kill(first);
        await w.until(() => second.controller.isActive, "the standby takes over");
        const again = await w.settle(register(second, 1));
        expect(again.brokerEpoch).toBeGreaterThan(1);
        expectInvariants(second);
        for (const { partition } of eachPartition(second.controller.image)) expect(partition.leader).toBeDefined();
      },
    );

    it("between the end of a session and its elections leaves what the next one walks (case 25)", async () => {
      const w = await open();
      const death = dyingAfter();
      const first = await w.start(1, { wrap: death.wrap });
      await w.active();
      const second = await w.start(2);
      const brokers = [];
      for (const id of [1, 2, 3]) brokers.push(await joinBroker(w, first, id));
      await w.settle(createTopic(first, "orders", { partitions: 250 }));
      death.dieAfter(1);
      await passTime(w, 7000, brokers.slice(1));
      expect(death.hasDied()).toBe(true);
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      await w.settle(describeTopic(second, "orders"));
      expect(second.controller.image.sessions.size).toBe(2);
      expectInvariants(second);
      for (const { partition } of eachPartition(second.controller.image)) expect(partition.leader).not.toBe(1);
    });

    it("in the middle of a change of min ISR is followed by one that settles it", async () => {
      const w = await open();
      const death = dyingAfter();
      const first = await w.start(1, { wrap: death.wrap });
      await w.active();
      const second = await w.start(2);
      for (const id of [1, 2, 3]) await w.settle(register(first, id));
      await w.settle(createTopic(first, "orders", { partitions: 250 }));
      death.dieAfter(1);
      const call = request(ConfigureTopicRequestSchema, { topic: "orders", set: { "min.insync.replicas": "3" } });
      Promise.resolve(first.controller.admin.configureTopic(call, context)).catch(() => undefined);
      await w.until(() => death.hasDied(), "the process dies");
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      const { partitions, settings } = await w.settle(describeTopic(second, "orders"));
      expect(settings).toEqual({});
      expect(new Set(partitions.map(({ minIsr }) => minIsr))).toEqual(new Set([2]));
    });

    it("is followed by one that grants every session its full timeout (case 23)", async () => {
      const { w, first, second } = await openWithStandby();
      const brokers = [];
      for (const id of [1, 2, 3]) brokers.push(await joinBroker(w, first, id));
      await passTime(w, 5000);
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      await passTime(w, 5500);
      expect(second.controller.image.sessions.size).toBe(3);
      await passTime(w, 1000);
      await w.until(() => second.controller.image.sessions.size === 0, "all ended by silence");
      expect(brokers).toHaveLength(3);
    });

    it("together with a broker is followed by one that finds the broker's port refusing", async () => {
      const { w, first, second } = await openWithStandby();
      for (const id of [1, 2, 3]) await joinBroker(w, first, id);
      await w.until(() => second.controller.image.sessions.size === 3, "the standby follows");
      w.kill(first);
      w.ports.set(portOf(1), "refused");
      await w.until(() => second.controller.isActive, "the standby takes over");
      const reconnected = [2, 3].map((id) => openHeartbeat(second, { brokerId: id, brokerEpoch: 1 }));
      await passTime(w, 600, reconnected);
      await w.until(() => second.controller.image.sessions.size === 2, "the session ended");
    });

    it("hands out no producer id twice through a failover", async () => {
      const { w, first, second } = await openWithStandby();
      await w.settle(register(first, 1));
      const call = request(AllocateProducerIdsRequestSchema, { brokerId: 1, brokerEpoch: 1 });
      const one = await w.settle(first.controller.cluster.allocateProducerIds(call, context));
      w.kill(first);
      await w.until(() => second.controller.isActive, "the standby takes over");
      const two = await w.settle(second.controller.cluster.allocateProducerIds(call, context));
      expect([one.firstProducerId, two.firstProducerId]).toEqual([0n, 1000n]);
    });
  });

  describe("a controller that was paused", () => {
    it("decides nothing when it wakes with a queue of commands (case 21)", async () => {
      const { w, first, second } = await openWithStandby();
      await w.settle(register(first, 1));
      w.store.stall(1);
      const queued = ["a", "b", "c"].map((name) => createTopic(first, name));
      const outcomes = Promise.allSettled(queued);
      await w.until(() => second.controller.isActive, "the standby takes over");
      await w.settle(createTopic(second, "d"));
      w.store.resume(1);
      for (const outcome of await w.settle(outcomes)) {
        expect(outcome.status).toBe("rejected");
      }
      expect(first.controller.isActive).toBe(false);
      const names = [...second.controller.image.topicIds.buckets.flatMap((bucket) => [...bucket.keys()])];
      const unknown = (await outcomes).filter((each) => errorOf(each)?.outcome === Outcome.UNKNOWN);
      // What was called not applied is never seen.
      expect(names.length).toBeLessThanOrEqual(1 + unknown.length);
      expect(names).toContain("d");
    });

    it("refuses from belief alone nothing that must be current", async () => {
      const { w, first, second } = await openWithStandby();
      await w.settle(register(first, 1));
      w.store.stall(1);
      const read = describeTopic(first, "orders");
      read.catch(() => undefined);
      await w.until(() => second.controller.isActive, "the standby takes over");
      await w.settle(createTopic(second, "orders"));
      w.store.resume(1);
      // The old one has no such topic in memory; it does not say UNKNOWN_TOPIC.
      await expect(w.settle(read)).rejects.toMatchObject({ reason: Reason.NOT_CONTROLLER });
    });
  });

  describe("an append whose outcome nobody knows", () => {
    /** The next append is sent or not, and its caller hears neither. */
    const doubtful = () => {
      let next: "known" | "sent" | "not sent" = "known";
      const wrap = (consensus: Consensus): Consensus => ({
        ...consensus,
        async append(epoch, changes) {
          const how = next;
          next = "known";
          if (how === "not sent") return { kind: "unknown", message: "lost" };
          const outcome = await consensus.append(epoch, changes);
          return how === "sent" ? { kind: "unknown", message: "lost" } : outcome;
        },
      });
      return { wrap, lose: (how: "sent" | "not sent") => (next = how) };
    };

    it.each(["sent", "not sent"] as const)("was %s: it is told as unknown, and a new term knows", async (how) => {
      const w = await open();
      const doubt = doubtful();
      const node = await w.start(1, { wrap: doubt.wrap });
      await w.active();
      const before = epochOf(node);
      await w.settle(register(node, 1));
      doubt.lose(how);
      await expect(w.settle(createTopic(node, "orders"))).rejects.toMatchObject({
        reason: Reason.METADATA_OUTCOME_UNKNOWN,
        outcome: Outcome.UNKNOWN,
      });
      await w.until(() => node.controller.isActive, "a new term");
      const { topics } = await w.settle(node.controller.admin.listTopics(request(ListTopicsRequestSchema), context));
      expect(topics?.map(({ name }) => name)).toEqual(how === "sent" ? ["orders"] : []);
      expect((await w.settle(register(node, 2))).controllerEpoch).toBeGreaterThan(before);
    });

    it("is not overtaken: what waited behind it is refused, not decided on what may be old", async () => {
      const w = await open();
      const doubt = doubtful();
      const node = await w.start(1, { wrap: doubt.wrap });
      await w.active();
      await w.settle(register(node, 1));
      doubt.lose("sent");
      const both = Promise.allSettled([createTopic(node, "a"), createTopic(node, "b")]);
      expect((await w.settle(both)).map((each) => errorOf(each)?.reason)).toEqual([
        Reason.METADATA_OUTCOME_UNKNOWN,
        Reason.NOT_CONTROLLER,
      ]);
    });
  });

  describe("a store that has no room", () => {
    it("in the middle of a large topic: the error says so, and what was written is swept once it can be", async () => {
      const w = await open();
      let room = Number.POSITIVE_INFINITY;
      const wrap = (consensus: Consensus): Consensus => ({
        ...consensus,
        async append(epoch, changes) {
          room -= 1;
          if (room < 0) return { kind: "refused", reason: "NO_SPACE", message: "The disk is full" };
          return consensus.append(epoch, changes);
        },
      });
      const node = await w.start(1, { wrap });
      await w.active();
      await w.settle(register(node, 1));
      room = 2;
      await expect(w.settle(createTopic(node, "large", { partitions: 1000 }))).rejects.toMatchObject({
        reason: Reason.METADATA_NO_SPACE,
        outcome: Outcome.UNKNOWN,
      });
      expect(await partitionKeys(w, node)).toBe(200);
      await expect(w.settle(createTopic(node, "small"))).rejects.toMatchObject({
        reason: Reason.METADATA_NO_SPACE,
        outcome: Outcome.NOT_APPLIED,
      });
      room = Number.POSITIVE_INFINITY;
      await passTime(w, 1500);
      await w.until(() => node.events.some((e) => e.kind === "decided" && e.command === "sweep orphans"), "swept");
      expect(await partitionKeys(w, node)).toBe(0);
      expect(node.controller.isActive).toBe(true);
    });
  });

  describe("a watch of the metadata", () => {
    it("begins with a snapshot, then tells each batch in order", async () => {
      const w = await open();
      const node = await w.start(1);
      await w.active();
      await w.settle(register(node, 1));
      const watch = openWatch(node);
      await w.until(() => watch.count(MetadataFrame.SNAPSHOT_END) === 1, "the snapshot");
      await w.settle(createTopic(node, "orders", { partitions: 2 }));
      await w.until(() => watch.count(MetadataFrame.DELTA) === 1, "the topic");
      const [snapshot, delta] = watch.frames;
      expect(snapshot).toMatchObject({ controllerEpoch: epochOf(node), frame: MetadataFrame.SNAPSHOT_END });
      expect(delta?.changes?.map((change) => change.record?.case)).toEqual(["partition", "partition", "topic"]);
      expect(delta?.revision).toBeGreaterThan(snapshot?.revision ?? 0n);
      watch.stop();
    });

    it("goes on after the revision that it names, and says nothing twice", async () => {
      const w = await open();
      const node = await w.start(1);
      await w.active();
      await w.settle(register(node, 1));
      const watch = openWatch(node);
      await w.settle(createTopic(node, "a"));
      await w.until(() => watch.count(MetadataFrame.DELTA) === 1, "the first topic");
      watch.stop();
      await w.settle(createTopic(node, "b"));
      const afterRevision = watch.frames.at(-1)?.revision ?? 0n;
      const resumed = openWatch(node, { controllerEpoch: epochOf(node), afterRevision });
      await w.until(() => resumed.frames.length === 1, "the second topic");
      expect(resumed.frames[0]).toMatchObject({ frame: MetadataFrame.DELTA });
      expect(resumed.frames[0]?.changes?.map(({ key }) => key)).toContain("/topics/b");
      resumed.stop();
    });

    it.each([
      ["another controller epoch", { controllerEpoch: 7, afterRevision: 3n }],
      ["no controller epoch", { afterRevision: 3n }],
      ["a revision that is yet to come", { controllerEpoch: 1, afterRevision: 10_000n }],
      ["a revision that never was", { controllerEpoch: 1, afterRevision: -1n }],
    ])("that names %s begins with a snapshot", async (_, init) => {
      const w = await open();
      const node = await w.start(1);
      await w.active();
      await w.settle(register(node, 1));
      const watch = openWatch(node, init);
      await w.until(() => watch.frames.length > 0, "the first frame");
      expect(watch.frames[0]?.frame).toBe(MetadataFrame.SNAPSHOT_END);
      watch.stop();
    });

    it("sends a large snapshot in parts, each far under the limit of a message", async () => {
      const w = await open();
      const node = await w.start(1);
      await w.active();
      for (const id of [1, 2, 3]) await w.settle(register(node, id));
      await w.settle(createTopic(node, "large", { partitions: 3000 }));
      const watch = openWatch(node);
      await w.until(() => watch.count(MetadataFrame.SNAPSHOT_END) === 1, "the whole snapshot");
      expect(watch.count(MetadataFrame.SNAPSHOT_PART)).toBeGreaterThan(1);
      const keys = watch.frames.flatMap(({ changes = [] }) => changes.map(({ key }) => key));
      expect(keys.filter((key) => key?.startsWith("/partitions/"))).toHaveLength(3000);
      expect(new Set(keys).size).toBe(keys.length);
      watch.stop();
    });

    it("25: a decision that was published to one of two when the controller died is the same to both at the next one", async () => {
      const { w, first, second } = await openWithStandby();
      await w.settle(register(first, 1));
      const told = openWatch(first);
      const behind = openWatch(first, {}, createDeferred().promise);
      await w.until(() => told.frames.length === 1 && behind.frames.length === 1, "both snapshots");
      await w.settle(createTopic(first, "orders"));
      await w.until(() => told.count(MetadataFrame.DELTA) === 1, "one is told of the topic");
      w.kill(first);
      expect(behind.count(MetadataFrame.DELTA)).toBe(0);
      await w.until(() => second.controller.isActive, "the standby takes over");
      const [one, other] = [told, behind].map(({ frames }) =>
        openWatch(second, { controllerEpoch: epochOf(first), afterRevision: frames.at(-1)?.revision ?? 0n }),
      );
      await w.until(() => one?.frames.length === 1 && other?.frames.length === 1, "both snapshots of the next one");
      expect(one?.frames[0]).toMatchObject({ frame: MetadataFrame.SNAPSHOT_END, controllerEpoch: epochOf(second) });
      expect(one?.frames[0]?.changes?.map(({ key }) => key)).toContain("/topics/orders");
      expect(other?.frames).toEqual(one?.frames);
      for (const watch of [one, other]) watch?.stop();
    });

    it("ends with NOT_CONTROLLER when leadership does, and is a snapshot of a newer epoch at the next one", async () => {
      const { w, first, second } = await openWithStandby();
      await w.settle(register(first, 1));
      const watch = openWatch(first);
      const heartbeat = openHeartbeat(first, { brokerId: 1, brokerEpoch: 1 });
      heartbeat.beat();
      await w.until(() => watch.frames.length > 0 && heartbeat.answers.length > 0, "both streams work");
      w.store.cut(1);
      await w.until(() => watch.failure() !== undefined, "the watch ends");
      expect(watch.failure()).toMatchObject({ reason: Reason.NOT_CONTROLLER });
      await w.until(() => heartbeat.failure() !== undefined, "the heartbeats end");
      await w.until(() => second.controller.isActive, "the standby takes over");
      const { revision: afterRevision = 0n } = watch.frames.at(-1) ?? {};
      const next = openWatch(second, { controllerEpoch: epochOf(first), afterRevision });
      await w.until(() => next.frames.length > 0, "the first frame");
      expect(next.frames[0]).toMatchObject({ frame: MetadataFrame.SNAPSHOT_END, controllerEpoch: epochOf(second) });
      expect(epochOf(second)).toBeGreaterThan(epochOf(first));
      w.store.heal(1);
      next.stop();
    });
  });
});
