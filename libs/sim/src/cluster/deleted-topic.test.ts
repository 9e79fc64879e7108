/** What a broker has under way of a partition ends when its topic is deleted: no event of the partition says it any more. */
import { loadCodecs } from "@tidemark/compression";
import { type KeptSpan, spanNames } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { createPassingTime } from "../testing/passing-time.ts";
import { createSimCluster } from "./cluster.ts";
import { ports } from "./roles.ts";

const { codecs } = await loadCodecs();
const topic = "orders";
/** By default: replica.lag.time.max.ms, above broker.session.timeout.ms. */
const lagMs = 10_000;
const callMs = { timeoutMs: 1000 } as const;

test("a topic that is deleted ends the leadership that took no record yet, and the change of the ISR that is on its way", async () => {
  const engine = createEngine();
  const spans: KeptSpan[] = [];
  const cluster = createSimCluster(engine, createRandomTree(1), {
    backend: "single",
    etcds: 0,
    controllers: 1,
    brokers: 2,
    gateways: 1,
    settings: { controller: {}, broker: {}, gateway: {} },
    link: { delayMs: 0.5, jitterMs: 0.2 },
    clockDriftMax: 0,
    codecs,
    wallStartMs: 0,
    keepSpan: (span) => spans.push(span),
    controllerExperimentOn: () => ({}),
    experimentOn: () => ({}),
    quorumExperimentOn: () => ({}),
    onEnd: () => undefined,
    onRevision: () => undefined,
    onExit: ({ node, error }) => {
      throw new Error(`${node} ended`, { cause: error });
    },
  });
  const { client } = await cluster.connect("observer", `gateway-1.sim:${ports.gateway.client}`);
  const time = createPassingTime(engine, () => cluster.logs.slice(-5).join("\n"));
  for (const node of cluster.nodes) node.boot();
  const asked = { topic, partitions: 1, replicationFactor: 2 };
  await time.answered(
    () => client.admin.createTopic(asked, callMs),
    () => true,
    "the topic is there",
  );
  const [described] = await time.answered(
    () => client.admin.describeTopics({ topics: [topic] }, callMs).then(({ topics }) => topics),
    ([one]) => one?.partitions[0]?.isr.length === 2,
    "both replicas are in sync",
  );
  const leaderId = described?.partitions[0]?.leader;
  const leader = cluster.brokers.find(({ identity }) => identity.id === leaderId);
  const follower = cluster.brokers.find(({ identity }) => identity.id !== leaderId);
  const [controller] = cluster.controllers;
  if (leader === undefined || follower === undefined || controller === undefined) throw new Error("Nobody leads");
  // The leader hears the controller, which does not hear from it that the follower is to leave the ISR.
  cluster.network.links.cut(follower.host.name, leader.host.name);
  await time.runFor(lagMs - 1000);
  cluster.network.links.cut(leader.host.name, controller.host.name);
  await time.runFor(2000);
  const underWay: readonly string[] = [spanNames.becomeLeader, spanNames.isrShrink];
  const ended = () => spans.filter(({ name }) => underWay.includes(name));
  expect(ended()).toEqual([]);
  await time.answered(
    () => client.admin.deleteTopic({ topic }, callMs),
    () => true,
    "the topic is deleted",
  );
  await time.until(() => ended().length > 0, "the leader has heard of it");
  expect(ended().map(({ name, status }) => [name, status.message])).toEqual([
    [spanNames.isrShrink, "NOT_LEADER"],
    [spanNames.becomeLeader, undefined],
  ]);
});
