/**
 * Several brokers with one partition each, a controller and a network: what the scripts and the random walk run. It
 * performs what the partition machines ask for, in their order, and tells what happens; it decides nothing itself.
 */
import type { BrokerEpoch, BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import { assert } from "../assert.ts";
import { formatTrace } from "../format-trace.ts";
import type { ReplicationGuards } from "../guards.ts";
import type { PartitionInput } from "../inputs.ts";
import type { Acks, Answer, PartitionOutput, RequestId, SendEffect } from "../outputs.ts";
import { createFetchSessions, createPartition, type Partition } from "../partition.ts";
import type { PartitionState } from "../partition-state.ts";
import type { FetchSessions, ReplicaResponse } from "../replica-messages.ts";
import type { ReplicationSettings } from "../settings.ts";
import { createNetwork, type Message, type Network } from "./network.ts";
import { createSimulatedController, type DiskNumber, type SimulatedController } from "./simulated-controller.ts";
import {
  beginFlush,
  createSimulatedLog,
  cutPower,
  endFlush,
  killProcess,
  perform,
  readLog,
  type SimulatedBatch,
  type SimulatedLog,
  snapshotOf,
} from "./simulated-log.ts";

export interface SimulatedBroker {
  readonly id: BrokerId;
  /** Counts the processes: connections lead to one of them. */
  run: number;
  brokerEpoch: BrokerEpoch;
  disk: DiskNumber;
  log: SimulatedLog;
  sessions: FetchSessions;
  /** Undefined while the process is dead. */
  partition: Partition | undefined;
  /** A stopped process: nothing reaches it and it does nothing. */
  paused: boolean;
  /** Monotonic time at which it heard the controller last. */
  controllerHeardMs: number;
}

/** What a client asked, kept until it is answered. */
export type Request =
  | { readonly kind: "produce"; readonly acks: Acks; readonly value: number; readonly records: number }
  | { readonly kind: "fetch"; readonly offset: Offset }
  | { readonly kind: "latest"; readonly atLeast: Offset }
  | { readonly kind: "replica"; readonly replica: BrokerId; readonly run: number };

export interface ClusterOptions {
  readonly state: PartitionState;
  readonly settings: ReplicationSettings;
  readonly guards: ReplicationGuards;
  readonly choose: (count: number) => number;
  /** One line for each thing that happens. */
  readonly onEvent: (text: string) => void;
  /** A client was answered. */
  readonly onAnswer: (broker: SimulatedBroker, answer: Answer, request: Request) => void;
  /** How many batches a fetch answer holds at most. */
  readonly fetchLimit: () => number;
}

export interface Cluster {
  readonly brokers: readonly SimulatedBroker[];
  readonly controller: SimulatedController;
  readonly network: Network;
  nowMs(): number;
  broker(id: BrokerId): SimulatedBroker;
  /** Gives an input to a running broker. */
  input(broker: SimulatedBroker, input: PartitionInput): void;
  /** A client asks; the answer comes by `onAnswer`. */
  request(broker: SimulatedBroker, request: Request, input: (requestId: RequestId) => PartitionInput): void;
  produce(
    broker: SimulatedBroker,
    produce: { records: number; acks: Acks; seen?: LeaderEpoch; deadlineMs: number },
  ): number;
  deliver(message: Message): void;
  /** True when the process that the message was sent to is there and runs. */
  arrives(message: Message): boolean;
  endFlush(broker: SimulatedBroker, index?: number): void;
  /** Moves time, and gives every running broker its tick. */
  advance(ms: number): void;
  /** Starts a broker for the first time: the metadata knows it already. */
  boot(broker: SimulatedBroker): void;
  start(broker: SimulatedBroker): void;
  kill(broker: SimulatedBroker): void;
  cutPower(broker: SimulatedBroker, keep: Offset): void;
  /**
   * The same process with an empty log in place of a damaged one. With a new broker epoch first, the positions that
   * were told of the old log count no longer, wherever they are on their way to (R2, R10).
   */
  emptyLog(broker: SimulatedBroker, options: { readonly registersFirst: boolean }): void;
  /** Another disk under the same id. The broker has to be dead. */
  replaceDisk(broker: SimulatedBroker): void;
  registerAnew(broker: SimulatedBroker): void;
}

export function createCluster(options: ClusterOptions): Cluster {
  const network = createNetwork();
  const requests = new Map<RequestId, Request>();
  let nowMs = 0;
  let lastRequest = 0;
  let lastValue = 0;
  let lastDisk = 100;

  const brokers = options.state.replicas.map((id): SimulatedBroker => {
    const sessions = createFetchSessions();
    const log = createSimulatedLog();
    return {
      id,
      run: 0,
      brokerEpoch: 0 as BrokerEpoch,
      disk: id,
      log,
      sessions,
      partition: undefined,
      paused: false,
      controllerHeardMs: 0,
    };
  });
  const brokerOf = (id: BrokerId): SimulatedBroker => {
    const broker = brokers.find((one) => one.id === id);
    assert(broker !== undefined, `broker ${id} exists`);
    return broker;
  };
  const runOf = (node: BrokerId | "controller") => (node === "controller" ? 0 : brokerOf(node).run);

  const controller = createSimulatedController({
    state: options.state,
    choose: options.choose,
    onEvent: (text) => {
      options.onEvent(`controller: ${text}`);
    },
    onChange: (state) => {
      for (const broker of brokers) if (controller.session(broker.id) !== undefined) pushMetadata(broker, state);
    },
  });
  const pushMetadata = (broker: SimulatedBroker, state: PartitionState) => {
    const controllerEpoch = controller.epoch();
    network.send({ kind: "metadata", from: "controller", to: broker.id, toRun: broker.run, state, controllerEpoch });
  };

  const send = (broker: SimulatedBroker, effect: SendEffect) => {
    const from = broker.id;
    switch (effect.kind) {
      case "fetch":
        network.send({
          kind: "fetch",
          from,
          fromRun: broker.run,
          to: effect.leader,
          toRun: runOf(effect.leader),
          fetch: effect.fetch,
        });
        return;
      case "flushedReport":
        network.send({
          kind: "flushedReport",
          from,
          to: effect.leader,
          toRun: runOf(effect.leader),
          report: effect.report,
        });
        return;
      case "alterPartition":
        network.send({ kind: "alter", from, fromRun: broker.run, to: "controller", toRun: 0, request: effect.request });
        return;
      case "confirmLeadership": {
        // Asked and answered at once: the barrier of the controller is a matter of the consensus backend.
        if (network.isCut(from, "controller") || network.isCut("controller", from)) return;
        const { confirmation, leaderEpoch } = effect;
        const { leader, leaderEpoch: newest } = controller.state();
        const leads = leader === from && newest === leaderEpoch;
        input(broker, { kind: "leadershipConfirmed", confirmation, leads, nowMs });
        return;
      }
    }
  };

  const answerReplica = (broker: SimulatedBroker, answer: Answer, request: Extract<Request, { kind: "replica" }>) => {
    const respond = (content: ReplicaResponse["content"], batches: readonly SimulatedBatch[] = []) => {
      if (!("session" in answer)) return;
      const { session, leaderEpoch } = answer;
      const response = { from: broker.id, leaderEpoch, session, content };
      const { replica, run } = request;
      network.send({ kind: "response", from: broker.id, to: replica, toRun: run, response, batches });
    };
    switch (answer.kind) {
      case "replicaRead": {
        const { highWatermark, logStart } = answer;
        const batches = readLog(broker.log, answer.from, answer.upTo, options.fetchLimit());
        respond({ kind: "records", batches, highWatermark, logStart }, batches);
        return;
      }
      case "replicaDiverging":
        respond({ kind: "diverging", divergence: answer.divergence });
        return;
      case "replicaBehindLogStart":
        respond({ kind: "behindLogStart", logStart: answer.logStart });
        return;
      case "replicaRefused":
        respond({ kind: "refused", reason: answer.reason });
        return;
      default:
        return;
    }
  };

  const execute = (broker: SimulatedBroker, output: PartitionOutput, batches: readonly SimulatedBatch[]) => {
    for (const event of output.trace) options.onEvent(`${broker.id}: ${formatTrace(event)}`);
    for (const effect of output.persist) {
      const written = effect.kind === "appendAsLeader" ? [stamp(effect)] : batches;
      perform(broker.log, effect, written);
    }
    beginFlush(broker.log);
    for (const effect of output.send) send(broker, effect);
    for (const answer of output.answer) {
      const request = requests.get(answer.requestId);
      requests.delete(answer.requestId);
      if (request === undefined) continue;
      if (request.kind === "replica") answerReplica(broker, answer, request);
      else options.onAnswer(broker, answer, request);
    }
  };
  const stamp = (effect: { requestId: RequestId; baseOffset: Offset; endOffset: Offset; leaderEpoch: LeaderEpoch }) => {
    const request = requests.get(effect.requestId);
    assert(request?.kind === "produce", "a leader appends what was produced");
    const { baseOffset, endOffset, leaderEpoch } = effect;
    return { baseOffset, endOffset, leaderEpoch, value: request.value };
  };

  const input = (broker: SimulatedBroker, event: PartitionInput, batches: readonly SimulatedBatch[] = []) => {
    if (broker.partition === undefined) return;
    execute(broker, broker.partition.step(event), batches);
  };
  const request = (broker: SimulatedBroker, asked: Request, make: (requestId: RequestId) => PartitionInput) => {
    const requestId = ++lastRequest as RequestId;
    requests.set(requestId, asked);
    input(broker, make(requestId));
  };

  const arrives = ({ to, toRun }: Message) => {
    if (to === "controller") return true;
    const broker = brokerOf(to);
    return broker.partition === undefined || broker.run !== toRun || !broker.paused;
  };
  const deliver = (message: Message) => {
    if (message.to === "controller") {
      if (message.kind !== "alter") return;
      const { request: altered, from, fromRun } = message;
      const answer = controller.alter(altered.proposal);
      network.send({
        kind: "alterAnswer",
        from: "controller",
        to: from,
        toRun: fromRun,
        attempt: altered.attempt,
        answer,
      });
      return;
    }
    const broker = brokerOf(message.to);
    if (broker.run !== message.toRun || broker.partition === undefined) return;
    deliverTo(broker, message);
  };
  const deliverTo = (broker: SimulatedBroker, message: Message) => {
    switch (message.kind) {
      case "fetch": {
        const { fetch, fromRun } = message;
        const asked = { kind: "replica", replica: fetch.replica, run: fromRun } as const;
        const deadlineMs = nowMs + options.settings.fetchWaitMaxMs;
        request(broker, asked, (requestId) => ({ kind: "replicaFetch", requestId, fetch, deadlineMs, nowMs }));
        return;
      }
      case "flushedReport":
        input(broker, { kind: "replicaFlushed", report: message.report, nowMs });
        return;
      case "response":
        input(broker, { kind: "replicaResponse", response: message.response, nowMs }, message.batches);
        return;
      case "alterAnswer":
        input(broker, { kind: "proposalAnswered", attempt: message.attempt, answer: message.answer, nowMs });
        return;
      case "metadata":
        input(broker, { kind: "metadata", state: message.state, controllerEpoch: message.controllerEpoch, nowMs });
        return;
      case "alter":
        return;
    }
  };

  const open = (broker: SimulatedBroker) => {
    broker.partition = createPartition({
      self: broker.id,
      brokerEpoch: broker.brokerEpoch,
      log: snapshotOf(broker.log),
      highWatermark: broker.log.checkpoint,
      settings: options.settings,
      sessions: broker.sessions,
      guards: options.guards,
    });
    beginFlush(broker.log);
  };
  const stop = (broker: SimulatedBroker) => {
    broker.partition = undefined;
    broker.paused = false;
    for (const [requestId, asked] of requests) {
      if (asked.kind === "replica" && asked.replica === broker.id) requests.delete(requestId);
    }
  };

  return {
    brokers,
    controller,
    network,
    nowMs: () => nowMs,
    broker: brokerOf,
    input,
    request,
    produce(broker, { records, acks, seen, deadlineMs }) {
      const value = ++lastValue;
      request(broker, { kind: "produce", acks, value, records }, (requestId) => ({
        kind: "produce",
        requestId,
        acks,
        recordCount: records,
        seenLeaderEpoch: seen,
        deadlineMs,
        nowMs,
      }));
      return value;
    },
    deliver,
    arrives,
    endFlush(broker, index = 0) {
      const flush = endFlush(broker.log, index);
      if (flush === undefined) return;
      beginFlush(broker.log);
      input(broker, { kind: "flushed", offset: flush.upTo, generation: flush.generation, nowMs });
    },
    advance(ms) {
      nowMs += ms;
      for (const broker of brokers) {
        if (broker.partition === undefined || broker.paused) continue;
        if (!network.isCut("controller", broker.id)) broker.controllerHeardMs = nowMs;
        input(broker, { kind: "tick", nowMs, controllerHeardMs: broker.controllerHeardMs });
      }
    },
    boot(broker) {
      broker.brokerEpoch = controller.admit(broker.id, broker.disk);
      open(broker);
      pushMetadata(broker, controller.state());
    },
    start(broker) {
      broker.run++;
      broker.sessions = createFetchSessions();
      broker.controllerHeardMs = nowMs;
      broker.brokerEpoch = controller.register(broker.id, broker.disk);
      open(broker);
      // Only metadata at or after the registration's revision counts, so that it is sent last.
      network.take("controller", broker.id);
      pushMetadata(broker, controller.state());
    },
    kill(broker) {
      stop(broker);
      killProcess(broker.log);
    },
    cutPower(broker, keep) {
      stop(broker);
      cutPower(broker.log, keep);
    },
    emptyLog(broker, { registersFirst }) {
      broker.partition = undefined;
      if (registersFirst) broker.brokerEpoch = controller.register(broker.id, broker.disk);
      broker.log = createSimulatedLog();
      open(broker);
      pushMetadata(broker, controller.state());
    },
    replaceDisk(broker) {
      broker.disk = ++lastDisk;
      broker.log = createSimulatedLog();
    },
    registerAnew(broker) {
      broker.brokerEpoch = controller.register(broker.id, broker.disk);
      input(broker, { kind: "registered", brokerEpoch: broker.brokerEpoch, nowMs });
      pushMetadata(broker, controller.state());
    },
  };
}
