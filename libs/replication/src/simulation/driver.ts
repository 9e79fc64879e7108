/** Performs what a partition machine asks for: writes in their order, then messages, then answers. */
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { assert } from "../assert.ts";
import { formatTrace } from "../format-trace.ts";
import type { PartitionInput } from "../inputs.ts";
import type { Answer, PartitionOutput, PersistEffect, RequestId, SendEffect } from "../outputs.ts";
import type { ReplicaResponse } from "../replica-messages.ts";
import type { Message } from "./network.ts";
import { beginFlush, perform, readLog, replayProducers, type SimulatedBatch } from "./simulated-log.ts";
import { brokerOf, type Request, runOf, type SimulatedBroker, type World } from "./world.ts";

/** Gives an input to a broker, if it runs. `batches` are those of a response. */
export function giveInput(
  world: World,
  broker: SimulatedBroker,
  input: PartitionInput,
  batches: readonly SimulatedBatch[] = [],
): void {
  if (broker.partition !== undefined) execute(world, broker, broker.partition.step(input), batches);
}

/** Asks a broker something whose answer comes later, or at once. */
export function ask(
  world: World,
  broker: SimulatedBroker,
  asked: Request,
  make: (requestId: RequestId) => PartitionInput,
): void {
  const requestId = ++world.lastRequest as RequestId;
  world.requests.set(requestId, asked);
  giveInput(world, broker, make(requestId));
}

/** A message arrives. One to a process that is gone arrives nowhere. */
export function deliver(world: World, message: Message): void {
  if (message.to === "controller") {
    if (message.kind !== "alter") return;
    const { request, from, fromRun } = message;
    const answer = world.controller.alter(request.proposal);
    const { attempt } = request;
    world.network.send({ kind: "alterAnswer", from: "controller", to: from, toRun: fromRun, attempt, answer });
    return;
  }
  const broker = brokerOf(world, message.to);
  if (broker.run === message.toRun && broker.partition !== undefined) deliverTo(world, broker, message);
}

function deliverTo(world: World, broker: SimulatedBroker, message: Message): void {
  const { nowMs } = world;
  switch (message.kind) {
    case "fetch": {
      const { fetch, fromRun } = message;
      const deadlineMs = nowMs + world.options.settings.fetchWaitMaxMs;
      const asked = { kind: "replica", replica: fetch.replica, run: fromRun } as const;
      ask(world, broker, asked, (requestId) => ({ kind: "replicaFetch", requestId, fetch, deadlineMs, nowMs }));
      return;
    }
    case "flushedReport":
      giveInput(world, broker, { kind: "replicaFlushed", report: message.report, nowMs });
      return;
    case "response":
      giveInput(world, broker, { kind: "replicaResponse", response: message.response, nowMs }, message.batches);
      return;
    case "alterAnswer": {
      const { attempt, answer } = message;
      giveInput(world, broker, { kind: "proposalAnswered", attempt, answer, nowMs });
      return;
    }
    case "metadata": {
      const { state, controllerEpoch } = message;
      giveInput(world, broker, { kind: "metadata", state, controllerEpoch, nowMs });
      return;
    }
    case "alter":
      return;
  }
}

function execute(
  world: World,
  broker: SimulatedBroker,
  output: PartitionOutput,
  batches: readonly SimulatedBatch[],
): void {
  for (const event of output.trace) world.options.onEvent(`${broker.id}: ${formatTrace(event)}`);
  for (const effect of output.persist) {
    const appended = effect.kind === "appendAsLeader" ? [stamp(world, effect)] : batches;
    perform(broker.log, effect, appended);
    followProducers(broker, effect, appended);
  }
  beginFlush(broker.log);
  for (const effect of output.send) send(world, broker, effect);
  for (const answer of output.answer) {
    const request = world.requests.get(answer.requestId);
    world.requests.delete(answer.requestId);
    if (request?.kind === "replica") answerReplica(world, broker, answer, request);
    else if (request !== undefined) world.options.onAnswer(broker, answer, request);
  }
}

function followProducers(broker: SimulatedBroker, effect: PersistEffect, appended: readonly SimulatedBatch[]): void {
  const { producers, log } = broker;
  switch (effect.kind) {
    case "appendAsLeader":
    case "appendAsFollower":
      replayProducers(producers, appended);
      return;
    case "truncate":
    case "restart":
      producers.restore(undefined);
      replayProducers(producers, log.batches);
      return;
    case "epochStart":
    case "advanceLogStart":
      return;
  }
}

interface Append {
  readonly requestId: RequestId;
  readonly baseOffset: Offset;
  readonly endOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

function stamp(world: World, { requestId, baseOffset, endOffset, leaderEpoch }: Append): SimulatedBatch {
  const request = world.requests.get(requestId);
  assert(request?.kind === "produce", "a leader appends what was produced");
  const { value, producer } = request;
  return { baseOffset, endOffset, leaderEpoch, value, ...(producer === undefined ? {} : { producer }) };
}

function send(world: World, broker: SimulatedBroker, effect: SendEffect): void {
  const { network, controller, nowMs } = world;
  const { id: from, run: fromRun } = broker;
  switch (effect.kind) {
    case "fetch": {
      const { leader: to, fetch } = effect;
      network.send({ kind: "fetch", from, fromRun, to, toRun: runOf(world, to), fetch });
      return;
    }
    case "flushedReport": {
      const { leader: to, report } = effect;
      network.send({ kind: "flushedReport", from, to, toRun: runOf(world, to), report });
      return;
    }
    case "alterPartition":
      network.send({ kind: "alter", from, fromRun, to: "controller", toRun: 0, request: effect.request });
      return;
    case "confirmLeadership": {
      // Asked and answered at once: the barrier of the controller is a matter of the consensus backend.
      if (network.isCut(from, "controller") || network.isCut("controller", from)) return;
      const { confirmation, leaderEpoch } = effect;
      const newest = controller.state();
      const leads = newest.leader === from && newest.leaderEpoch === leaderEpoch;
      giveInput(world, broker, { kind: "leadershipConfirmed", confirmation, leads, nowMs });
      return;
    }
  }
}

function answerReplica(
  world: World,
  broker: SimulatedBroker,
  answer: Answer,
  request: Extract<Request, { kind: "replica" }>,
): void {
  if (!("session" in answer)) return;
  const { session, leaderEpoch } = answer;
  const batches =
    answer.kind === "replicaRead" ? readLog(broker.log, answer.from, answer.upTo, world.options.fetchLimit()) : [];
  const response = { from: broker.id, leaderEpoch, session, content: contentOf(answer, batches) };
  const { replica, run } = request;
  world.network.send({ kind: "response", from: broker.id, to: replica, toRun: run, response, batches });
}

function contentOf(
  answer: Extract<Answer, { session: unknown }>,
  batches: readonly SimulatedBatch[],
): ReplicaResponse["content"] {
  switch (answer.kind) {
    case "replicaRead": {
      const { highWatermark, logStart } = answer;
      return { kind: "records", batches, highWatermark, logStart };
    }
    case "replicaDiverging":
      return { kind: "diverging", divergence: answer.divergence };
    case "replicaBehindLogStart":
      return { kind: "behindLogStart", logStart: answer.logStart };
    case "replicaRefused":
      return { kind: "refused", reason: answer.reason };
  }
}
