import type { Consensus } from "@tidemark/consensus";
import { Reason } from "@tidemark/proto/common/v1";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import { afterEach, describe, expect, it } from "vitest";
import {
  createTopic,
  describeTopic,
  directoryOf,
  incarnationOf,
  joinBroker,
  openHeartbeat,
  type PlayedBroker,
  passTime,
  portOf,
  register,
  startWithBrokers,
} from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(count: number) {
  const w = await createWorld();
  closing.push(() => w.close());
  const { node, brokers } = await startWithBrokers(w, count);
  return { w, node, brokers };
}

const living = (node: Node) => [...node.controller.image.sessions.keys()].sort();
const verdicts = (node: Node) => node.events.flatMap((event) => (event.kind === "probed" ? [event.verdict] : []));
const without = (brokers: readonly PlayedBroker[], ...gone: readonly number[]) =>
  brokers.filter(({ brokerId }) => !gone.includes(brokerId));

/** The connection of a broker breaks, and its port does what a test says. */
function lose(w: World, broker: PlayedBroker | undefined, port: "refused" | "unreachable" | "reached") {
  if (broker === undefined) throw new Error("No such broker");
  w.ports.set(portOf(broker.brokerId), port);
  broker.close();
}

const inAnyOrder = (...ids: readonly number[]) =>
  expect.toSatisfy((given: readonly number[]) => [...given].sort().join() === ids.join()) as number[];

const endCauses = (node: Node) =>
  node.events.flatMap((event) =>
    event.kind === "decided" ? event.events.flatMap((each) => (each.kind === "sessionEnded" ? [each.cause] : [])) : [],
  );

describe("a broker's session", () => {
  it("lives while heartbeats come, though what one of them asked for waits for a slow store", async () => {
    const w = await createWorld();
    closing.push(() => w.close());
    let slow: Deferred<void> | undefined;
    const wrap = (consensus: Consensus): Consensus => ({
      ...consensus,
      async append(...batch) {
        await slow?.promise;
        return consensus.append(...batch);
      },
    });
    const node = await w.start(1, { wrap });
    await w.active();
    const brokers = [await joinBroker(w, node, 1), await joinBroker(w, node, 2), await joinBroker(w, node, 3)];
    const { topic } = await w.settle(createTopic(node, "orders"));
    slow = createDeferred();
    brokers[0]?.beat({ offlineReplicas: [{ topicId: topic?.topicId ?? "", partition: 0 }] });
    await passTime(w, 8000, brokers);
    expect(node.events.filter((event) => event.kind === "sessionOver")).toEqual([]);
    slow.resolve();
    slow = undefined;
    await w.until(() => (brokers[0]?.answers.length ?? 0) > 2, "answers again");
    expect(living(node)).toEqual([1, 2, 3]);
  });

  it("lives as long as heartbeats come", async () => {
    const { w, node, brokers } = await open(2);
    await passTime(w, 20_000, brokers);
    expect(living(node)).toEqual([1, 2]);
    expect(brokers[0]?.answers.at(-1)).toMatchObject({ controllerEpoch: 1, mayShutDown: false });
  });

  it("ends after the session timeout without one, not before, and its partitions get other leaders", async () => {
    const { w, node, brokers } = await open(3);
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    await passTime(w, 5900, without(brokers, 1));
    expect(living(node)).toEqual([1, 2, 3]);
    await passTime(w, 600, without(brokers, 1));
    await w.until(() => !living(node).includes(1 as never), "the session ended");
    expect(endCauses(node)).toEqual(["session timeout"]);
    for (const { leader, isr } of (await w.settle(describeTopic(node, "orders"))).partitions) {
      expect([2, 3]).toContain(leader);
      expect(isr).toEqual(expect.arrayContaining([2, 3]));
      expect(isr).toHaveLength(2);
    }
  });

  it("is renewed by heartbeats only: a stale broker epoch is told so", async () => {
    const { w, node } = await open(1);
    const stale = openHeartbeat(node, { brokerId: 1, brokerEpoch: 7 });
    stale.beat();
    await w.until(() => stale.failure() !== undefined, "refused");
    expect(stale.failure()).toMatchObject({ reason: Reason.STALE_BROKER_EPOCH });
    const unknown = openHeartbeat(node, { brokerId: 9, brokerEpoch: 1 });
    unknown.beat();
    await w.until(() => unknown.failure() !== undefined, "refused");
    expect(unknown.failure()).toMatchObject({ reason: Reason.BROKER_NOT_REGISTERED });
  });

  it("ends within the grace when its connection is lost and its port refuses (D10)", async () => {
    const { w, node, brokers } = await open(3);
    await w.settle(createTopic(node, "orders"));
    lose(w, brokers[0], "refused");
    await passTime(w, 200);
    expect(living(node)).toEqual([1, 2, 3]);
    await passTime(w, 200);
    await w.until(() => living(node).length === 2, "the session ended");
    expect(verdicts(node)).toEqual(["ended"]);
    expect(endCauses(node)).toEqual(["connection lost"]);
  });

  it.each(["unreachable", "reached"] as const)(
    "waits the timeout when the port is %s: that proves nothing",
    async (port) => {
      const { w, node, brokers } = await open(3);
      lose(w, brokers[0], port);
      await passTime(w, 5500, without(brokers, 1));
      expect(living(node)).toEqual([1, 2, 3]);
      expect(verdicts(node)).toEqual(["waits"]);
      await passTime(w, 1000, without(brokers, 1));
      await w.until(() => living(node).length === 2, "the session ended");
      expect(endCauses(node)).toEqual(["session timeout"]);
    },
  );

  it("goes on when the broker is back within the grace", async () => {
    const { w, node, brokers } = await open(3);
    lose(w, brokers[0], "refused");
    await passTime(w, 200);
    const back = openHeartbeat(node, { brokerId: 1, brokerEpoch: 1 });
    back.beat();
    await passTime(w, 5000, [back, ...without(brokers, 1)]);
    expect(living(node)).toEqual([1, 2, 3]);
    expect(verdicts(node)).toEqual([]);
  });

  it("goes on when the broker is back while its port is probed", async () => {
    const { w, node, brokers } = await open(3);
    const probed = createDeferred<"refused">();
    w.ports.set(portOf(1), probed.promise);
    brokers[0]?.close();
    await passTime(w, 400, without(brokers, 1));
    const back = openHeartbeat(node, { brokerId: 1, brokerEpoch: 1 });
    back.beat();
    await w.until(() => back.answers.length === 1, "it is heard");
    probed.resolve("refused");
    await passTime(w, 1000, [back, ...without(brokers, 1)]);
    expect(living(node)).toEqual([1, 2, 3]);
    expect(verdicts(node)).toEqual(["waits"]);
  });

  it("waits the timeout when this controller never reached the port itself", async () => {
    const { w, node, brokers } = await open(2);
    w.ports.set(portOf(3), "refused");
    const third = await joinBroker(w, node, 3);
    lose(w, third, "refused");
    await passTime(w, 1000, brokers);
    expect(living(node)).toEqual([1, 2, 3]);
    expect(verdicts(node)).toEqual(["never reached before"]);
  });

  it("is judged by silence alone once its broker came back from an early verdict (case 27i)", async () => {
    const { w, node, brokers } = await open(3);
    lose(w, brokers[0], "refused");
    await passTime(w, 400, without(brokers, 1));
    await w.until(() => living(node).length === 2, "the early verdict");
    w.ports.set(portOf(1), "reached");
    const back = await joinBroker(w, node, 1);
    lose(w, back, "refused");
    await passTime(w, 1000, without(brokers, 1));
    expect(living(node)).toEqual([1, 2, 3]);
    expect(verdicts(node)).toEqual(["ended", "came back before"]);
  });

  it("waits the timeout when more than a third are lost at once: the fault may be here (case 27c)", async () => {
    const { w, node, brokers } = await open(3);
    lose(w, brokers[0], "refused");
    await passTime(w, 100);
    lose(w, brokers[1], "refused");
    await passTime(w, 1000, without(brokers, 1, 2));
    expect(living(node)).toEqual([1, 2, 3]);
    expect(verdicts(node)).toEqual(["suspects itself", "suspects itself"]);
    await passTime(w, 6000, without(brokers, 1, 2));
    await w.until(() => living(node).length === 1, "both ended by silence");
  });

  it("ends early beside one whose broker connected again at once: the network works here (case 27c)", async () => {
    const { w, node, brokers } = await open(3);
    lose(w, brokers[0], "refused");
    brokers[1]?.close();
    await passTime(w, 10);
    const back = openHeartbeat(node, { brokerId: 2, brokerEpoch: brokers[1]?.brokerEpoch ?? 0 });
    back.beat();
    await w.until(() => back.answers.length === 1, "it is heard");
    await passTime(w, 1000, [back, ...without(brokers, 1, 2)]);
    expect(verdicts(node)).toEqual(["ended"]);
    expect(living(node)).toEqual([2, 3]);
  });

  it("ends early one by one where losses lie apart, and in one decision where they do not (case 27h)", async () => {
    const { w, node, brokers } = await open(7);
    await w.settle(createTopic(node, "orders", { replicationFactor: 7 }));
    lose(w, brokers[0], "refused");
    await passTime(w, 1000, without(brokers, 1));
    await w.until(() => living(node).length === 6, "the first ended");
    lose(w, brokers[1], "refused");
    lose(w, brokers[2], "refused");
    await passTime(w, 400, without(brokers, 1, 2, 3));
    await w.until(() => living(node).length === 4, "both others ended");
    const decisions = node.events.filter((event) => event.kind === "decided" && event.command === "end sessions");
    expect(decisions).toHaveLength(2);
  });

  it("begins anew for everyone when this process stalled, instead of ending (case 23)", async () => {
    const { w, node, brokers } = await open(3);
    await passTime(w, 1000, brokers);
    node.stallFor(10_000);
    await passTime(w, 5000, without(brokers, 1));
    expect(living(node)).toEqual([1, 2, 3]);
    expect(node.events.some((event) => event.kind === "stalled")).toBe(true);
    await passTime(w, 2000, without(brokers, 1));
    await w.until(() => living(node).length === 2, "the silent one ended");
  });

  it("ends at once when a broker that was told that it may stop goes", async () => {
    const { w, node, brokers } = await open(3);
    await w.settle(createTopic(node, "orders", { partitions: 3 }));
    const [leaver] = brokers;
    leaver?.beat({ wantsShutdown: true });
    await w.until(() => leaver?.answers.at(-1)?.mayShutDown === true, "it may stop");
    // Its leaderships were moved before it was told.
    for (const { leader, isr } of (await w.settle(describeTopic(node, "orders"))).partitions) {
      expect([2, 3]).toContain(leader);
      expect(isr).not.toContain(1);
    }
    leaver?.close();
    await w.until(() => living(node).length === 2, "the session ended");
    expect(endCauses(node)).toEqual(["shutdown"]);
  });

  it("has what it reports damaged taken out of the ISR, once, also when it says so at its registration", async () => {
    const { w, node, brokers } = await open(3);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const damagedReplicas = [{ topicId: topic?.topicId ?? "", partition: 0 }];
    const partition = async () => (await w.settle(describeTopic(node, "orders"))).partitions[0];
    const reports = () => node.events.filter((e) => e.kind === "decided" && e.command === "report damage").length;
    for (const beats of [2, 3]) {
      brokers[0]?.beat({ damagedReplicas });
      await w.until(() => brokers[0]?.answers.length === beats, "an answer");
    }
    expect(reports()).toBe(1);
    expect(await partition()).toMatchObject({ damaged: [1], offline: [1] });
    expect((await partition())?.isr).not.toContain(1);
    await w.settle(register(node, 2, { damagedReplicas }));
    expect(await partition()).toMatchObject({ leader: 3, isr: [3], elr: [], damaged: inAnyOrder(1, 2) });
  });

  it("has what it cannot serve led by another, once, and by nobody where there is none until it is served", async () => {
    const { w, node, brokers } = await open(3);
    const { topic } = await w.settle(createTopic(node, "orders"));
    const offlineReplicas = [{ topicId: topic?.topicId ?? "", partition: 0 }];
    const partition = async () => (await w.settle(describeTopic(node, "orders"))).partitions[0];
    const reports = () => node.events.filter((e) => e.kind === "decided" && e.command === "report offline").length;
    for (const beats of [2, 3]) {
      brokers[0]?.beat({ offlineReplicas });
      await w.until(() => brokers[0]?.answers.length === beats, "an answer");
    }
    expect(reports()).toBe(1);
    expect(await partition()).toMatchObject({ leader: 2, isr: [2, 3], damaged: [] });
    for (const index of [1, 2]) {
      brokers[index]?.beat({ offlineReplicas });
      await w.until(() => brokers[index]?.answers.length === 2, "an answer");
    }
    expect(await partition()).toMatchObject({ isr: [], elr: [2, 3], offline: [1, 2, 3] });
    expect((await partition())?.leader).toBeUndefined();
    brokers[1]?.beat();
    await w.until(() => brokers[1]?.answers.length === 3, "an answer");
    expect(await partition()).toMatchObject({ leader: 2, isr: [2], elr: [3], offline: [1, 3], notServed: [1, 3] });
    await w.settle(register(node, 2, { offlineReplicas }));
    expect(await partition()).toMatchObject({ isr: [], elr: [2, 3], notServed: [1, 2, 3] });
  });

  it("loses a failed directory, and with it what the directory holds", async () => {
    const { w, node, brokers } = await open(2);
    const third = await joinBroker(w, node, 3, { directoryIds: [directoryOf(3), directoryOf(3, 1)] });
    await w.settle(createTopic(node, "orders", { partitions: 2 }));
    third.beat({ failedDirectoryIds: [directoryOf(3)] });
    await w.until(() => node.controller.image.sessions.get(3 as never)?.directoryIds.length === 1, "noted");
    const offline = (await w.settle(describeTopic(node, "orders"))).partitions.map((each) => each.offline);
    expect(offline).toContainEqual([3]);
    expect(offline).toContainEqual([]);
    expect(brokers).toHaveLength(2);
  });
});

describe("a registration", () => {
  it("of a living broker's id with other directories is refused (case 24)", async () => {
    const { w, node } = await open(1);
    const other = { incarnationId: incarnationOf(99), directoryIds: [directoryOf(99)] };
    await expect(w.settle(register(node, 1, other))).rejects.toMatchObject({ reason: Reason.DUPLICATE_BROKER_ID });
    expect(node.controller.image.sessions.get(1 as never)?.brokerEpoch).toBe(1);
  });

  it("of the same directories takes the place of the old one at once (case 27e)", async () => {
    const { w, node, brokers } = await open(1);
    await w.settle(createTopic(node, "orders"));
    const again = await w.settle(register(node, 1, { incarnationId: incarnationOf(2) }));
    expect(again.brokerEpoch).toBe(2);
    const [partition] = (await w.settle(describeTopic(node, "orders"))).partitions;
    // The same leader, and yet a new leader epoch.
    expect(partition).toMatchObject({ leader: 1, leaderEpoch: 1, isr: [1] });
    brokers[0]?.beat();
    await w.until(() => brokers[0]?.failure() !== undefined, "the old incarnation is told");
    expect(brokers[0]?.failure()).toMatchObject({ reason: Reason.STALE_BROKER_EPOCH });
  });

  it("gives a partition without a leader its eligible replica back", async () => {
    const { w, node, brokers } = await open(1);
    await w.settle(createTopic(node, "orders"));
    await passTime(w, 7000);
    await w.until(() => living(node).length === 0, "the session ended");
    expect((await w.settle(describeTopic(node, "orders"))).partitions[0]).toMatchObject({ isr: [], elr: [1] });
    await joinBroker(w, node, 1);
    const [partition] = (await w.settle(describeTopic(node, "orders"))).partitions;
    expect(partition).toMatchObject({ leader: 1, leaderEpoch: 2, isr: [1], elr: [] });
    expect(brokers).toHaveLength(1);
  });
});
