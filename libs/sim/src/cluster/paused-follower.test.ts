/**
 * What every process reports while a follower does not keep up, with all settings as they are by default. Time is that of
 * the run, so that how long it takes is no matter of the machine.
 */
import { loadCodecs } from "@tidemark/compression";
import type { ControllerEvent } from "@tidemark/controller";
import { AdminService } from "@tidemark/proto/admin/v1";
import { createRpcClient } from "@tidemark/rpc";
import type { KeptSpan } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { createPassingTime } from "../testing/passing-time.ts";
import { createSimCluster } from "./cluster.ts";
import { ports } from "./roles.ts";

const { codecs } = await loadCodecs();
const topic = "orders";
/** By default: replica.lag.time.max.ms and broker.session.timeout.ms. */
const defaults = { lagMs: 10_000, sessionMs: 6000 } as const;
/** After the follower's time is over the news has so long to reach everybody, in milliseconds. */
const newsMs = 1000;
/** Between two records that are written, in milliseconds. */
const writeMs = 100;

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
  const time = createPassingTime(engine, () => cluster.logs.slice(-5).join("\n"));
  /** The partition when all of these know it at one partition epoch with an ISR of this size. */
  const agreed = async (names: readonly string[], isrSize: number) => {
    const [first] = await time.answered(
      () => Promise.all(names.map(askOf)),
      ([one, ...others]) =>
        one?.isr.length === isrSize && others.every((each) => JSON.stringify(each) === JSON.stringify(one)),
      `an ISR of ${isrSize} that all know`,
    );
    if (first === undefined) throw new Error("Nobody was asked");
    return first;
  };
  let acknowledged = 0;
  const producer = client.createProducer();
  const write = (): void => {
    producer.send(topic, { value: new Uint8Array(100), partition: 0 }).then(
      ({ kind }) => {
        if (kind === "acknowledged") acknowledged += 1;
      },
      () => undefined,
    );
    scheduler.after(writeMs, write);
  };
  for (const node of cluster.nodes) node.boot();
  await time.answered(
    () => client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 }, { timeoutMs: 1000 }),
    () => true,
    "the topic is there",
  );
  const everybody = [...admins.keys()];
  const before = await agreed(everybody, 3);
  const [leader, follower] = [before.leader, before.isr.find((id) => id !== before.leader)].map((id) =>
    cluster.brokers.find(({ identity }) => identity.id === id),
  );
  if (leader === undefined || follower === undefined) throw new Error("There is no leader, or no follower");
  write();
  await time.until(() => acknowledged > 0, "a record is acknowledged");
  events.length = 0;
  spans.length = 0;
  return { engine, cluster, events, spans, everybody, agreed, before, leader, follower };
}

/** Whose sessions a controller has found over. */
function sessionsOver(events: readonly ControllerEvent[]): readonly number[] {
  return events.flatMap((event) => (event.kind === "sessionOver" ? [event.brokerId] : []));
}

test("20: a follower stands still: within its lag time and a second everybody reports the smaller ISR, by the end of its session, and by itself it is back", async () => {
  const { engine, events, spans, everybody, agreed, before, follower } = await startWorld();
  const pausedMs = engine.nowMs;
  follower.process?.pause();
  const living = everybody.filter((name) => name !== follower.name);
  const without = await agreed(living, 2);
  expect(engine.nowMs - pausedMs).toBeLessThan(defaults.lagMs + newsMs);
  expect(engine.nowMs - pausedMs).toBeGreaterThan(defaults.sessionMs - newsMs);
  expect(without).toMatchObject({ leader: before.leader });
  expect(without.partitionEpoch).toBeGreaterThan(before.partitionEpoch);
  // The session ends first, so that the leader has no cause to propose anything.
  expect(sessionsOver(events)).toEqual([follower.identity.id]);
  expect(spans.filter(({ name }) => name === "isr shrink")).toEqual([]);
  follower.process?.resume();
  const after = await agreed(everybody, 3);
  expect(after).toMatchObject({ leader: before.leader });
});

test("20: a follower that its leader cannot reach, though its session lives, leaves the ISR within the lag time and a second, everybody reports it, and by itself it is back", async () => {
  const { engine, cluster, events, spans, everybody, agreed, before, leader, follower } = await startWorld();
  const { links } = cluster.network;
  const cutMs = engine.nowMs;
  const mends = [links.cut(leader.host.name, follower.host.name), links.cut(follower.host.name, leader.host.name)];
  const without = await agreed(everybody, 2);
  expect(engine.nowMs - cutMs).toBeLessThan(defaults.lagMs + newsMs);
  expect(engine.nowMs - cutMs).toBeGreaterThan(defaults.lagMs - newsMs);
  expect(without).toMatchObject({ leader: before.leader, leaderEpoch: before.leaderEpoch });
  expect(sessionsOver(events)).toEqual([]);
  for (const mend of mends) mend();
  const after = await agreed(everybody, 3);
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
