/**
 * Several brokers with one partition each, a controller and a network: what the scripts and the random walk run. It
 * performs what the partition machines ask for and tells what happens; it decides nothing itself.
 */
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { createFetchSessions, createPartition } from "../partition.ts";
import { createProducerTable, defaultProducerSettings } from "../producers/producer-table.ts";
import { ask, deliver, giveInput } from "./driver.ts";
import { createNetwork, type Message } from "./network.ts";
import { createSimulatedController } from "./simulated-controller.ts";
import {
  beginFlush,
  createSimulatedLog,
  cutPower,
  endFlush,
  killProcess,
  replayProducers,
  snapshotOf,
} from "./simulated-log.ts";
import {
  brokerOf,
  type Cluster,
  type ClusterOptions,
  pushMetadata,
  type SimulatedBroker,
  type World,
} from "./world.ts";

export function createCluster(options: ClusterOptions): Cluster {
  const world = createWorld(options);
  const { brokers, controller, network } = world;
  return {
    brokers,
    controller,
    network,
    nowMs: () => world.nowMs,
    broker: (id) => brokerOf(world, id),
    input: (broker, input) => {
      giveInput(world, broker, input);
    },
    request: (broker, asked, make) => {
      ask(world, broker, asked, make);
    },
    produce: (broker, { records, acks, deadlineMs, idempotent }) => {
      const { producer, value = ++world.lastValue } = idempotent ?? {};
      const { nowMs } = world;
      const stamped = producer === undefined ? {} : { producer };
      const more = { acks, recordCount: records, seenLeaderEpoch: undefined, deadlineMs, nowMs, ...stamped };
      const asked = { kind: "produce", acks, value, producer } as const;
      ask(world, broker, asked, (requestId) => ({ kind: "produce", requestId, ...more }));
    },
    deliver: (message) => {
      deliver(world, message);
    },
    arrives: (message) => arrives(world, message),
    endFlush: (broker, index = 0) => {
      const flush = endFlush(broker.log, index);
      if (flush === undefined) return;
      beginFlush(broker.log);
      const { upTo: offset, generation } = flush;
      giveInput(world, broker, { kind: "flushed", offset, generation, nowMs: world.nowMs });
    },
    advance: (ms) => {
      advance(world, ms);
    },
    boot: (broker) => {
      broker.brokerEpoch = controller.admit(broker.id, broker.disk);
      open(world, broker);
    },
    start: (broker) => {
      start(world, broker);
    },
    kill: (broker) => {
      stop(world, broker);
      killProcess(broker.log);
    },
    cutPower: (broker, keep) => {
      stop(world, broker);
      cutPower(broker.log, keep);
    },
    emptyLog: (broker, { registersFirst }) => {
      broker.partition = undefined;
      if (registersFirst) broker.brokerEpoch = controller.register(broker.id, broker.disk);
      broker.log = createSimulatedLog();
      open(world, broker);
    },
    replaceDisk: (broker) => {
      broker.disk = ++world.lastDisk;
      broker.log = createSimulatedLog();
    },
    registerAnew: (broker) => {
      broker.brokerEpoch = controller.register(broker.id, broker.disk);
      giveInput(world, broker, { kind: "registered", brokerEpoch: broker.brokerEpoch, nowMs: world.nowMs });
      pushMetadata(world, broker);
    },
  };
}

function createWorld(options: ClusterOptions): World {
  const world: World = {
    options,
    brokers: options.state.replicas.map(createBroker),
    controller: createSimulatedController({
      state: options.state,
      choose: options.choose,
      onEvent: (text) => {
        options.onEvent(`controller: ${text}`);
      },
      onChange: () => {
        for (const broker of world.brokers) {
          if (world.controller.session(broker.id) !== undefined) pushMetadata(world, broker);
        }
      },
    }),
    network: createNetwork(),
    requests: new Map(),
    nowMs: 0,
    lastRequest: 0,
    lastValue: 0,
    lastDisk: 100,
  };
  return world;
}

function createBroker(id: BrokerId): SimulatedBroker {
  return {
    id,
    run: 0,
    brokerEpoch: 0 as BrokerEpoch,
    disk: id,
    log: createSimulatedLog(),
    sessions: createFetchSessions(),
    producers: createProducerTable(),
    partition: undefined,
    paused: false,
    controllerHeardMs: 0,
  };
}

function arrives(world: World, { to, toRun }: Message): boolean {
  if (to === "controller") return true;
  const broker = brokerOf(world, to);
  return broker.partition === undefined || broker.run !== toRun || !broker.paused;
}

function advance(world: World, ms: number): void {
  world.nowMs += ms;
  const { nowMs } = world;
  for (const broker of world.brokers) {
    if (broker.partition === undefined || broker.paused) continue;
    if (!world.network.isCut("controller", broker.id)) broker.controllerHeardMs = nowMs;
    giveInput(world, broker, { kind: "tick", nowMs, controllerHeardMs: broker.controllerHeardMs });
  }
}

function start(world: World, broker: SimulatedBroker): void {
  broker.run++;
  broker.sessions = createFetchSessions();
  broker.controllerHeardMs = world.nowMs;
  broker.brokerEpoch = world.controller.register(broker.id, broker.disk);
  // Only metadata at or after the registration's revision counts: what was on its way is not.
  world.network.take("controller", broker.id);
  open(world, broker);
}

function open(world: World, broker: SimulatedBroker): void {
  const { settings, guards } = world.options;
  const { id: self, brokerEpoch, sessions } = broker;
  const highWatermark = broker.log.checkpoint;
  const log = snapshotOf(broker.log);
  const producers = createProducerTable(defaultProducerSettings, guards);
  replayProducers(producers, broker.log.batches);
  broker.producers = producers;
  broker.partition = createPartition({ self, brokerEpoch, log, highWatermark, settings, sessions, producers, guards });
  beginFlush(broker.log);
  pushMetadata(world, broker);
}

function stop(world: World, broker: SimulatedBroker): void {
  broker.partition = undefined;
  broker.paused = false;
  for (const [requestId, asked] of world.requests) {
    if (asked.kind === "replica" && asked.replica === broker.id) world.requests.delete(requestId);
  }
}
