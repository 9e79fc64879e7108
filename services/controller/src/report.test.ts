/** Each metric of a controller, moved by what it stands for. */
import { electionCauses } from "@tidemark/metadata";
import { AlterPartitionRequestSchema } from "@tidemark/proto/cluster/v1";
import { createLogger, type Metrics, metricNames, type Report } from "@tidemark/telemetry";
import { afterEach, expect, test } from "vitest";
import type { ControllerEvent } from "./events/controller-events.ts";
import { createReporter } from "./report.ts";
import { callContext, createTopic, joinBroker, passTime, portOf, request } from "./testing/calls.ts";
import { createWorld, type World } from "./testing/world.ts";

let world: World | undefined;
afterEach(() => world?.close());

/** Metrics whose values can be looked at: name -> labels -> value. */
function collect() {
  const counted = new Map<string, Record<string, number>>();
  const observed = new Map<string, (report: Report) => void>();
  const add = (name: string, amount: number, labels: unknown) => {
    const series = counted.get(name) ?? {};
    const key = labels === undefined ? "" : JSON.stringify(labels);
    counted.set(name, { ...series, [key]: (series[key] ?? 0) + amount });
  };
  const metrics: Metrics = {
    counter: ({ name }) => ({ add: (amount, labels) => add(name, amount, labels) }),
    histogram: () => ({ record: () => undefined }),
    observeGauge: ({ name }, read) => {
      observed.set(name, read);
      return () => observed.delete(name);
    },
    observeCounter: () => () => undefined,
  };
  const read = (name: string) => {
    const values: number[] = [];
    observed.get(name)?.((value) => values.push(value));
    return values[0] ?? counted.get(name);
  };
  return { metrics, read };
}

test("elections, changes of the ISR and the state of partitions are told as they happen, and as 0 before", async () => {
  const w = await createWorld();
  world = w;
  const node = await w.start(1);
  const { metrics, read } = collect();
  let isActive = false;
  const of = {
    service: "tidemark-controller",
    instanceId: "controller-1",
    level: "fatal",
    write: () => undefined,
  } as const;
  const logger = createLogger({ clock: w.runtime.clock, ...of });
  const state = { isActive: () => isActive, image: () => node.controller.image };
  const untraced = { election: () => undefined, controllerElection: () => undefined };
  const report = createReporter({ logger, metrics }, state, untraced);
  expect(read(metricNames.offlinePartitions)).toBeUndefined();
  expect(read(metricNames.activeController)).toBe(0);
  await w.active();
  isActive = true;
  expect(read(metricNames.activeController)).toBe(1);

  const seen: ControllerEvent[] = [];
  const told = () => {
    seen.push(...node.events.splice(0));
    seen.splice(0).forEach(report);
    return {
      elections: read(metricNames.leaderElections),
      unclean: read(metricNames.uncleanLeaderElections),
      shrinks: read(metricNames.isrShrinks),
      expands: read(metricNames.isrExpands),
      offline: read(metricNames.offlinePartitions),
      underReplicated: read(metricNames.underReplicatedPartitions),
      underMinIsr: read(metricNames.underMinIsrPartitions),
    };
  };
  const [one, two, three] = [await joinBroker(w, node, 1), await joinBroker(w, node, 2), await joinBroker(w, node, 3)];
  const { topic } = await w.settle(createTopic(node, "orders"));
  const others = electionCauses.filter((cause) => cause !== "topic created");
  // Nobody lost a leader by a new topic.
  const none = Object.fromEntries(others.map((cause) => [JSON.stringify({ cause }), 0]));
  const well = { offline: 0, underReplicated: 0, underMinIsr: 0 };
  const nothing = { unclean: { "": 0 }, shrinks: { "": 0 }, expands: { "": 0 } };
  expect(told()).toEqual({ elections: none, ...nothing, ...well });

  const propose = async (partitionEpoch: number, members: readonly number[]) => {
    const isr = members.map((brokerId) => ({ brokerId, brokerEpoch: 1 }));
    const item = { topicId: topic?.topicId ?? "", partition: 0, leaderEpoch: 0, partitionEpoch, isr };
    const call = request(AlterPartitionRequestSchema, { brokerId: 1, brokerEpoch: 1, partitions: [item] });
    await w.settle(node.controller.cluster.alterPartition(call, callContext()));
  };
  await propose(0, [1]);
  expect(told()).toMatchObject({ shrinks: { "": 2 }, underReplicated: 1, underMinIsr: 1, offline: 0 });
  await propose(1, [1, 2, 3]);
  expect(told()).toMatchObject({ shrinks: { "": 2 }, expands: { "": 2 }, ...well });

  const lose = async (broker: typeof one, others: readonly (typeof one)[]) => {
    const sessions = node.controller.image.sessions.size;
    w.ports.set(portOf(broker.brokerId), "refused");
    broker.close();
    await passTime(w, 1000, others);
    await w.until(() => node.controller.image.sessions.size < sessions, "the session ended");
  };
  await lose(one, [two, three]);
  const decided = node.events.filter((event) => event.kind === "decided");
  expect(told()).toMatchObject({
    elections: { ...none, '{"cause":"connection lost"}': 1 },
    shrinks: { "": 3 },
    underReplicated: 1,
    underMinIsr: 0,
  });
  await lose(two, [three]);
  await lose(three, []);
  expect(told()).toMatchObject({ offline: 1, underMinIsr: 1, unclean: { "": 0 } });

  // As it would be told of a leader that was not eligible.
  for (const event of decided) {
    const events = event.events.map((each) => (each.kind === "elected" ? { ...each, rule: "unclean" as const } : each));
    seen.push({ ...event, events });
  }
  expect(told()).toMatchObject({ unclean: { "": 1 } });
});
