/**
 * What every process reports while a follower does not keep up, with all settings as they are by default. Time is that of
 * the run, so that how long it takes is no matter of the machine.
 */
import { loadCodecs } from "@tidemark/compression";
import type { ControllerEvent } from "@tidemark/controller";
import { AdminService } from "@tidemark/proto/admin/v1";
import { createRpcClient } from "@tidemark/rpc";
import { delay } from "@tidemark/runtime";
import type { KeptSpan } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { takeTurns } from "../node/process.ts";
import { createSimCluster } from "./cluster.ts";
import { ports } from "./roles.ts";

const { codecs } = await loadCodecs();
const topic = "orders";
/** By default: replica.lag.time.max.ms and broker.session.timeout.ms. */
const defaults = { lagMs: 10_000, sessionMs: 6000 } as const;
/** After the follower's time is over the news has so long to reach everybody, in milliseconds. */
const newsMs = 1000;
/** How often each process is asked, in milliseconds. */
const askMs = 50;

/** Three brokers and two gateways, a topic whose three replicas are in sync, and somebody who writes to it all the time. */
async function startWorld() {
  const engine = createEngine();
  const events: ControllerEvent[] = [];
  const spans: KeptSpan[] = [];
  const cluster = createSimCluster(engine, createRandomTree(1), {
    backend: "single",
    etcds: 0,
    controllers: 1,
    brokers: 3,
    gateways: 2,
    settings: { controller: {}, broker: {}, gateway: {} },
    link: { delayMs: 0.5, jitterMs: 0.2 },
    clockDriftMax: 0,
    codecs,
    wallStartMs: 0,
    keepSpan: (span) => spans.push(span),
    controllerExperimentOn: () => ({ onEvent: (event) => events.push(event) }),
    experimentOn: () => ({}),
    quorumExperimentOn: () => ({}),
    onEnd: () => undefined,
    onRevision: () => undefined,
    onExit: ({ node, error }) => {
      throw new Error(`${node} ended`, { cause: error });
    },
  });
  const { client, process, transport } = await cluster.connect("observer", `gateway-1.sim:${ports.gateway.client}`);
  const { scheduler } = process.runtime;
  const admins = new Map(
    [...cluster.gateways, ...cluster.brokers].map(({ name, identity }) => {
      const { client: port } = identity.role === "gateway" ? ports.gateway : ports.broker;
      const options = { runtime: process.runtime, trafficClass: "admin" } as const;
      return [name, createRpcClient(AdminService, transport.createChannel(`${name}.sim:${port}`, options))];
    }),
  );
  /** The partition as one process knows it. */
  const askOf = async (name: string) => {
    const answer = await admins.get(name)?.describeTopics({ topics: [topic] }, { timeoutMs: 1000 });
    return answer?.topics[0]?.partitions[0];
  };
  /** Resolves with the partition when all of these know it at one partition epoch with an ISR of this size. */
  const agreed = async (names: readonly string[], isrSize: number) => {
    for (;;) {
      const [first, ...others] = await Promise.all(names.map((name) => askOf(name).catch(() => undefined)));
      const agree = others.every((each) => JSON.stringify(each) === JSON.stringify(first));
      if (agree && first?.isr.length === isrSize) return first;
      await delay(scheduler, askMs);
    }
  };
  const write = async () => {
    const producer = client.createProducer();
    for (;;) {
      producer.send(topic, { value: new Uint8Array(100), partition: 0 }).catch(() => undefined);
      await delay(scheduler, 100);
    }
  };
  /** The result of `work`, while time passes. */
  const pass = async <Value>(work: Promise<Value>): Promise<Value> => {
    const fate = { isSettled: false };
    const settle = () => {
      fate.isSettled = true;
    };
    work.then(settle, settle);
    const giveUpMs = engine.nowMs + 120_000;
    await takeTurns(() => {
      if (engine.nowMs > giveUpMs) throw new Error(`Not reached: ${cluster.logs.slice(-5).join("\n")}`);
      return !fate.isSettled && engine.step(Number.MAX_VALUE);
    });
    return work;
  };
  for (const node of cluster.nodes) node.boot();
  const make = async () => {
    for (;;) {
      const made = await client.admin
        .createTopic({ topic, partitions: 1, replicationFactor: 3 }, { timeoutMs: 1000 })
        .catch(() => undefined);
      if (made !== undefined) return;
      await delay(scheduler, askMs);
    }
  };
  await pass(make());
  write().catch(() => undefined);
  const everybody = [...admins.keys()];
  const before = await pass(agreed(everybody, 3));
  const [leader, follower] = [before.leader, before.isr.find((id) => id !== before.leader)].map((id) =>
    cluster.brokers.find(({ identity }) => identity.id === id),
  );
  if (leader === undefined || follower === undefined) throw new Error("There is no leader, or no follower");
  await pass(delay(scheduler, 2000));
  events.length = 0;
  spans.length = 0;
  return { engine, cluster, events, spans, everybody, agreed, pass, before, leader, follower };
}

/** Whose sessions a controller has found over. */
function sessionsOver(events: readonly ControllerEvent[]): readonly number[] {
  return events.flatMap((event) => (event.kind === "sessionOver" ? [event.brokerId] : []));
}

test("20: a follower stands still: within its lag time and a second everybody reports the smaller ISR, by the end of its session, and by itself it is back", async () => {
  const { engine, events, spans, everybody, agreed, pass, before, follower } = await startWorld();
  const pausedMs = engine.nowMs;
  follower.process?.pause();
  const living = everybody.filter((name) => name !== follower.name);
  const without = await pass(agreed(living, 2));
  expect(engine.nowMs - pausedMs).toBeLessThan(defaults.lagMs + newsMs);
  expect(engine.nowMs - pausedMs).toBeGreaterThan(defaults.sessionMs - newsMs);
  expect(without).toMatchObject({ leader: before.leader });
  expect(without.partitionEpoch).toBeGreaterThan(before.partitionEpoch);
  // The session ends first, so that the leader has no cause to propose anything.
  expect(sessionsOver(events)).toEqual([follower.identity.id]);
  expect(spans.filter(({ name }) => name === "isr shrink")).toEqual([]);
  follower.process?.resume();
  const after = await pass(agreed(everybody, 3));
  expect(after).toMatchObject({ leader: before.leader });
});

test("20: a follower that its leader cannot reach, though its session lives, leaves the ISR within the lag time and a second, everybody reports it, and by itself it is back", async () => {
  const { engine, cluster, events, spans, everybody, agreed, pass, before, leader, follower } = await startWorld();
  const { links } = cluster.network;
  const cutMs = engine.nowMs;
  const mends = [links.cut(leader.host.name, follower.host.name), links.cut(follower.host.name, leader.host.name)];
  const without = await pass(agreed(everybody, 2));
  expect(engine.nowMs - cutMs).toBeLessThan(defaults.lagMs + newsMs);
  expect(engine.nowMs - cutMs).toBeGreaterThan(defaults.lagMs - newsMs);
  expect(without).toMatchObject({ leader: before.leader, leaderEpoch: before.leaderEpoch });
  expect(sessionsOver(events)).toEqual([]);
  for (const mend of mends) mend();
  const after = await pass(agreed(everybody, 3));
  expect(after).toMatchObject({ leader: before.leader, leaderEpoch: before.leaderEpoch });
  expect(sessionsOver(events)).toEqual([]);

  // The leader's spans: who left, how far behind, what came of it; and who is back.
  const changes = spans.filter(({ name }) => ["isr shrink", "isr expand"].includes(name));
  expect(changes.map(({ name }) => name)).toEqual(["isr shrink", "isr expand"]);
  for (const span of changes) {
    expect(span.resource.attributes["service.instance.id"]).toBe(leader.name);
    expect(span.parentSpanContext).toBeUndefined();
    expect(span.attributes).toMatchObject({
      "messaging.destination.name": topic,
      "tidemark.follower": [follower.identity.id],
    });
  }
  const [shrink, expand] = changes;
  expect(shrink?.attributes).toMatchObject({
    "tidemark.isr": without.isr,
    "tidemark.partition_epoch": without.partitionEpoch,
  });
  expect(expand?.attributes).toMatchObject({ "tidemark.partition_epoch": after.partitionEpoch });
  const [lagMs] = shrink?.attributes["tidemark.lag_ms"] as readonly number[];
  expect(lagMs).toBeGreaterThanOrEqual(defaults.lagMs);
  expect(shrink?.attributes["tidemark.cause"]).toMatch(/not caught up/);
});
