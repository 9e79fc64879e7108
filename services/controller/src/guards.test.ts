/** What holds although the store is late, the belief is wrong, or the caller is. Each test fails without one guard. */
import type { AppendOutcome, Consensus } from "@tidemark/consensus";
import { revision } from "@tidemark/ids";
import {
  AddPartitionsRequestSchema,
  ConfigureTopicRequestSchema,
  DeleteTopicRequestSchema,
  ElectionType,
  ElectLeadersRequestSchema,
} from "@tidemark/proto/admin/v1";
import {
  AllocateProducerIdsRequestSchema,
  AlterPartitionRequestSchema,
  ConfirmLeaderRequestSchema,
} from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { afterEach, describe, expect, it, test } from "vitest";
import { createChangeHistory } from "./state/change-history.ts";
import { callContext, createTopic, describeTopic, passTime, register, request } from "./testing/calls.ts";
import { withHeldWatch, withLateWatch, withStubbornBelief } from "./testing/handles.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const context = callContext();

async function open(): Promise<World> {
  const w = await createWorld();
  closing.push(() => w.close());
  return w;
}

async function reasonOf<Value>(promise: Promise<Value>): Promise<unknown> {
  return promise.then(
    () => "done",
    (error: unknown) => (error instanceof TidemarkError ? error.reason : error),
  );
}

describe("an image that lags behind the store", () => {
  it("is never decided on twice: the next command waits until the last one is applied", async () => {
    const w = await open();
    const node = await w.start(1, { wrap: (consensus) => withLateWatch(consensus, w.time.scheduler) });
    await w.active();
    await w.settle(register(node, 1));
    const twice = Promise.all([reasonOf(createTopic(node, "orders")), reasonOf(createTopic(node, "orders"))]);
    expect(await w.settle(twice)).toEqual(["done", Reason.TOPIC_EXISTS]);
  });

  it("is not acted on before it holds what came before the term: no second cluster is made", async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    await w.until(() => first.clusters.length > 0, "the cluster is known");
    w.kill(first);
    const gate = createDeferred();
    const beliefs: string[] = [];
    const second = await w.start(2, {
      wrap: (consensus) => withHeldWatch(consensus, gate.promise, (belief) => beliefs.push(belief.kind)),
    });
    await w.until(() => beliefs.includes("leading"), "the store says that it leads");
    await passTime(w, 100);
    expect(second.controller.isActive).toBe(false);
    gate.resolve();
    await w.until(() => second.controller.isActive, "it is active");
    await w.settle(register(second, 1));
    expect(second.controller.image.cluster?.clusterId).toBe(first.clusters[0]);
  });
});

describe("a controller that was deposed and is never told", () => {
  const deposed = async () => {
    const w = await open();
    const first = await w.start(1, { wrap: withStubbornBelief });
    await w.active();
    const second = await w.start(2);
    await w.settle(register(first, 1));
    const { topic } = await w.settle(createTopic(first, "orders"));
    w.store.cut(1);
    await w.until(() => second.controller.isActive, "the standby takes over");
    await w.settle(
      second.controller.admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: "orders" }), context),
    );
    expect(first.controller.isActive).toBe(true);
    return { w, first, topicId: topic?.topicId ?? "" };
  };

  test.each<readonly [string, (at: Node, topicId: string) => Promise<unknown>]>([
    ["describe a topic that was deleted", (at) => describeTopic(at, "orders")],
    ["refuse a topic for a name that is free", (at) => createTopic(at, "orders")],
    [
      "confirm a leader",
      async (at, topicId) =>
        at.controller.cluster.confirmLeader(
          request(ConfirmLeaderRequestSchema, { topicId, partition: 0, brokerId: 1, leaderEpoch: 0 }),
          context,
        ),
    ],
    ["make a topic", (at) => createTopic(at, "new")],
    [
      "take the metadata for regressed because a broker has seen its successor",
      (at) => register(at, 1, { clusterId: at.clusters[0] ?? "", controllerEpoch: 2 }),
    ],
  ])("does not %s", async (_, call) => {
    const { w, first, topicId } = await deposed();
    const answer = reasonOf(call(first, topicId));
    await w.until(() => true, "the call is on its way");
    w.store.heal(1);
    expect(await w.settle(answer)).toBe(Reason.NOT_CONTROLLER);
    expect(first.controller.isActive).toBe(false);
  });
});

describe("a term that ended in doubt", () => {
  it("takes what waited down with it, also while the store still lets it append", async () => {
    const w = await open();
    let isDoubtful = false;
    const mayResign = createDeferred();
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      resign: () => mayResign.promise.then(() => undefined),
      async append(epoch, changes): Promise<AppendOutcome> {
        const outcome = await consensus.append(epoch, changes);
        if (!isDoubtful) return outcome;
        isDoubtful = false;
        return { kind: "unknown", message: "lost" };
      },
    });
    const node = await w.start(1, { wrap });
    await w.active();
    await w.settle(register(node, 1));
    isDoubtful = true;
    const both = Promise.all([reasonOf(createTopic(node, "a")), reasonOf(createTopic(node, "b"))]);
    expect(await w.settle(both)).toEqual([Reason.METADATA_OUTCOME_UNKNOWN, Reason.NOT_CONTROLLER]);
    mayResign.resolve();
  });
});

describe("a store that has no room", () => {
  it("lets a leader settle its proposal as not applied: NOT_ATTEMPTED (R6)", async () => {
    const w = await open();
    let isFull = false;
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      append: async (epoch, changes) =>
        isFull ? { kind: "refused", reason: "NO_SPACE", message: "full" } : consensus.append(epoch, changes),
    });
    const node = await w.start(1, { wrap });
    await w.active();
    for (const id of [1, 2, 3]) await w.settle(register(node, id));
    const { topic } = await w.settle(createTopic(node, "orders"));
    const leader = topic?.partitions?.[0]?.leader ?? 0;
    isFull = true;
    const proposal = {
      topicId: topic?.topicId ?? "",
      partition: 0,
      leaderEpoch: 0,
      partitionEpoch: 0,
      isr: [{ brokerId: leader, brokerEpoch: 1 }],
    };
    const call = request(AlterPartitionRequestSchema, { brokerId: leader, brokerEpoch: 1, partitions: [proposal] });
    const { results } = await w.settle(node.controller.cluster.alterPartition(call, context));
    expect(results).toMatchObject([{ error: { reason: Reason.NOT_ATTEMPTED, outcome: Outcome.NOT_APPLIED } }]);
    isFull = false;
  });
});

describe("a store that refuses an append by itself", () => {
  const refused: AppendOutcome = {
    kind: "refused",
    reason: "STORE_REFUSED",
    message: "etcd refused: permission denied",
  };

  it("is told as it is, and the controller goes on with what is not refused", async () => {
    const w = await open();
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      append: async (epoch, changes) =>
        changes.some(({ key }) => key === "/topics/denied") ? refused : consensus.append(epoch, changes),
    });
    const node = await w.start(1, { wrap });
    await w.active();
    await w.settle(register(node, 1));
    await expect(w.settle(createTopic(node, "denied"))).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.NOT_APPLIED,
      message: "etcd refused: permission denied",
    });
    expect(node.controller.isActive).toBe(true);
    expect(await w.settle(reasonOf(createTopic(node, "allowed")))).toBe("done");
  });

  it("is asked a few times a second to end the session of a broker that is gone, and no more often", async () => {
    const w = await open();
    let appends = 0;
    let refuses = false;
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      async append(epoch, changes) {
        if (!refuses) return consensus.append(epoch, changes);
        appends += 1;
        return refused;
      },
    });
    const node = await w.start(1, { wrap });
    await w.active();
    await w.settle(register(node, 1));
    refuses = true;
    await passTime(w, 10_000);
    const before = appends;
    await passTime(w, 60_000);
    expect(appends - before).toBeGreaterThan(5);
    expect(appends - before).toBeLessThan(300);
    refuses = false;
    await passTime(w, 3000);
    expect(node.controller.image.sessions.size).toBe(0);
  });
});

describe("a controller whose metadata are older than what a broker has seen (METADATA_REGRESSED)", () => {
  it("stops deciding: every call is refused so, whoever asks", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const [clusterId = ""] = node.clusters;
    const restored = reasonOf(register(node, 2, { clusterId, controllerEpoch: 9 }));
    expect(await w.settle(restored)).toBe(Reason.METADATA_REGRESSED);
    expect(node.controller.isActive).toBe(false);
    const calls = [
      reasonOf(createTopic(node, "orders")),
      reasonOf(describeTopic(node, "orders")),
      reasonOf(register(node, 1)),
    ];
    for (const call of calls) expect(await w.settle(call)).toBe(Reason.METADATA_REGRESSED);
    await passTime(w, 10_000);
    expect(node.controller.isActive).toBe(false);
  });

  it("does not begin another term either", async () => {
    const w = await open();
    const beliefs: string[] = [];
    const wrap = (consensus: Consensus) =>
      withHeldWatch(consensus, Promise.resolve(), (belief) => beliefs.push(belief.kind));
    const node = await w.start(1, { wrap });
    await w.active();
    await w.settle(register(node, 1));
    const [clusterId = ""] = node.clusters;
    await w.settle(reasonOf(register(node, 2, { clusterId, controllerEpoch: 9 })));
    w.store.cut(1);
    await w.until(() => beliefs.at(-1) !== "leading", "the belief ends");
    w.store.heal(1);
    await w.until(() => beliefs.at(-1) === "leading", "it leads again");
    await passTime(w, 1000);
    expect(node.controller.isActive).toBe(false);
    expect(await w.settle(reasonOf(createTopic(node, "orders")))).toBe(Reason.METADATA_REGRESSED);
  });

  it("goes on where the broker belongs to no cluster yet: it is refused and not believed", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const stray = reasonOf(register(node, 2, { clusterId: "", controllerEpoch: 9 }));
    expect(await w.settle(stray)).toBe(Reason.METADATA_REGRESSED);
    await w.settle(createTopic(node, "orders"));
    expect(node.controller.isActive).toBe(true);
  });
});

describe("calls that wait", () => {
  it("beyond the limit are refused, and nothing of them is done", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const call = request(AllocateProducerIdsRequestSchema, { brokerId: 1, brokerEpoch: 1 });
    const allocate = async () => node.controller.cluster.allocateProducerIds(call, context);
    const ends = await w.settle(Promise.all(Array.from({ length: 1100 }, () => reasonOf(allocate()))));
    const done = ends.filter((each) => each === "done").length;
    expect(ends.filter((each) => each === Reason.RESOURCE_EXHAUSTED)).toHaveLength(1100 - done);
    expect(done).toBeLessThan(1100);
    expect(node.controller.image.producerIds?.nextProducerId).toBe(BigInt(done) * 1000n);
  });

  it("are dropped undone when their caller has gone before their turn", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const gone = new AbortController();
    const first = reasonOf(createTopic(node, "a"));
    const second = node.controller.admin.deleteTopic(
      request(DeleteTopicRequestSchema, { topic: "a" }),
      callContext(gone.signal),
    );
    gone.abort(new Error("gone"));
    const refused = Promise.resolve(second).catch((error: unknown) => error);
    expect(await w.settle(first)).toBe("done");
    expect(await w.settle(refused)).toMatchObject({ outcome: Outcome.NOT_APPLIED });
    expect(node.controller.image.topicIds.size).toBe(1);
  });
});

describe("bad input", () => {
  const foreignId = "00000000-0000-4000-8000-0000000000ff";
  const cases: readonly (readonly [string, Reason, (at: Node) => unknown])[] = [
    ["a bad topic name", Reason.INVALID_TOPIC_NAME, (at) => createTopic(at, "a/b")],
    ["no name", Reason.INVALID_TOPIC_NAME, (at) => createTopic(at, "")],
    ["an unknown setting", Reason.INVALID_CONFIG, (at) => createTopic(at, "a", { settings: { "retention.m": "1" } })],
    [
      "a setting out of range",
      Reason.INVALID_CONFIG,
      (at) => createTopic(at, "a", { settings: { "retention.ms": "x" } }),
    ],
    ["no partition", Reason.INVALID_ARGUMENT, (at) => createTopic(at, "a", { partitions: 0 })],
    ["too many partitions", Reason.INVALID_ARGUMENT, (at) => createTopic(at, "a", { partitions: 60_000 })],
    ["too many replicas", Reason.INVALID_REPLICATION_FACTOR, (at) => createTopic(at, "a", { replicationFactor: 2 })],
    ["an unknown topic", Reason.UNKNOWN_TOPIC, (at) => describeTopic(at, "none")],
    [
      "an id that is no UUID",
      Reason.INVALID_ARGUMENT,
      (at) => at.controller.admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: "a", topicId: "7" }), context),
    ],
    [
      "partitions for an unknown topic",
      Reason.UNKNOWN_TOPIC,
      (at) =>
        at.controller.admin.addPartitions(
          request(AddPartitionsRequestSchema, { topic: "none", partitions: 1 }),
          context,
        ),
    ],
    [
      "as many partitions as there are",
      Reason.INVALID_ARGUMENT,
      (at) =>
        at.controller.admin.addPartitions(request(AddPartitionsRequestSchema, { topic: "t", partitions: 1 }), context),
    ],
    [
      "a min ISR above the replication factor that is given with it",
      Reason.INVALID_CONFIG,
      (at) => createTopic(at, "a", { replicationFactor: 1, settings: { "min.insync.replicas": "2" } }),
    ],
    [
      "the deletion of a topic by the id of another",
      Reason.UNKNOWN_TOPIC_ID,
      (at) =>
        at.controller.admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: "t", topicId: foreignId }), context),
    ],
    [
      "a change of the ISR for a stale broker epoch",
      Reason.STALE_BROKER_EPOCH,
      (at) =>
        at.controller.cluster.alterPartition(
          request(AlterPartitionRequestSchema, { brokerId: 1, brokerEpoch: 4 }),
          context,
        ),
    ],
    [
      "an unknown setting to unset",
      Reason.INVALID_CONFIG,
      async (at) => {
        const call = request(ConfigureTopicRequestSchema, { topic: "t", unset: ["retention.m"] });
        return at.controller.admin.configureTopic(call, context);
      },
    ],
    [
      "an unclean election of an unknown topic",
      Reason.UNKNOWN_TOPIC,
      (at) =>
        at.controller.admin.electLeaders(
          request(ElectLeadersRequestSchema, { type: ElectionType.UNCLEAN, topic: "none" }),
          context,
        ),
    ],
    ["an incarnation that is no UUID", Reason.INVALID_ARGUMENT, (at) => register(at, 2, { incarnationId: "me" })],
    ["a directory that is no UUID", Reason.INVALID_ARGUMENT, (at) => register(at, 2, { directoryIds: ["disk"] })],
    [
      "a port that is none",
      Reason.INVALID_ARGUMENT,
      (at) => register(at, 2, { endpoints: [{ listener: "client", host: "h", port: 70_000 }] }),
    ],
    ["a broker id beyond 31 bits", Reason.INVALID_ARGUMENT, (at) => register(at, 2 ** 31)],
    [
      "producer ids for a stale broker epoch",
      Reason.STALE_BROKER_EPOCH,
      (at) =>
        at.controller.cluster.allocateProducerIds(
          request(AllocateProducerIdsRequestSchema, { brokerId: 1, brokerEpoch: 4 }),
          context,
        ),
    ],
    [
      "producer ids for nobody",
      Reason.BROKER_NOT_REGISTERED,
      (at) =>
        at.controller.cluster.allocateProducerIds(
          request(AllocateProducerIdsRequestSchema, { brokerId: 8, brokerEpoch: 1 }),
          context,
        ),
    ],
  ];

  test.each(cases)("%s is refused, certainly not applied, and changes nothing", async (_, reason, call) => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    await w.settle(createTopic(node, "t"));
    const { topicIds, topics, sessions, producerIds } = node.controller.image;
    await expect(w.settle((async () => call(node))())).rejects.toMatchObject({ reason, outcome: Outcome.NOT_APPLIED });
    expect(node.controller.image.sessions).toBe(sessions);
    expect(node.controller.image.producerIds).toBe(producerIds);
    expect(node.controller.image.topicIds).toBe(topicIds);
    expect(node.controller.image.topics).toBe(topics);
  });

  it("names the nearest setting, and the call that makes a topic", async () => {
    const w = await open();
    const node = await w.start(1);
    await w.active();
    await w.settle(register(node, 1));
    const misspelt = createTopic(node, "a", { settings: { "retention.m": "1" } });
    await expect(w.settle(misspelt)).rejects.toThrow("retention.ms");
    await expect(w.settle(describeTopic(node, "none"))).rejects.toThrow('CreateTopic {"topic":"none"}');
  });
});

describe("the history of changes", () => {
  const entry = (at: bigint) => ({ revision: revision(at), changes: [{ kind: "cluster", value: undefined } as const] });
  const after = (history: ReturnType<typeof createChangeHistory>, at: bigint) =>
    history.after(revision(at))?.map((each) => each.revision);

  it("tells what came after a revision that it holds everything since, and nothing else", () => {
    const history = createChangeHistory({ batchesMax: 3, changesMax: 100 });
    expect(after(history, 0n)).toBeUndefined();
    history.reset(revision(10n));
    for (const at of [12n, 13n, 17n]) history.add(entry(at));
    expect(after(history, 9n)).toBeUndefined();
    expect(after(history, 10n)).toEqual([12n, 13n, 17n]);
    expect(after(history, 12n)).toEqual([13n, 17n]);
    expect(after(history, 15n)).toEqual([17n]);
    expect(after(history, 17n)).toEqual([]);
    history.add(entry(20n));
    // What was let go is not told again, and nobody goes on before it.
    expect(after(history, 11n)).toBeUndefined();
    expect(after(history, 12n)).toEqual([13n, 17n, 20n]);
  });

  it("keeps within its bounds of changes", () => {
    const history = createChangeHistory({ batchesMax: 100, changesMax: 2 });
    history.reset(revision(0n));
    for (const at of [1n, 2n, 3n]) history.add(entry(at));
    expect(after(history, 0n)).toBeUndefined();
    expect(after(history, 1n)).toEqual([2n, 3n]);
  });
});
