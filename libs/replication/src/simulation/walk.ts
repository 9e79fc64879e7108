/**
 * A random walk over one partition: faults of every kind at every moment, the invariants after each step, and at the end
 * everything is mended and has to converge. One seed gives one run.
 */
import type { BrokerId, LeaderEpoch, Offset, PartitionEpoch } from "@tidemark/ids";
import { allGuards, type ReplicationGuards } from "../guards.ts";
import type { Acks } from "../outputs.ts";
import type { PartitionState } from "../partition-state.ts";
import { defaultSettings } from "../settings.ts";
import { createCluster } from "./cluster.ts";
import { createIdempotentProducers, type IdempotentProducers } from "./idempotent-producers.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import type { Message, Node } from "./network.ts";
import { createRandom, type Random } from "./seeded-random.ts";
import type { Cluster, SimulatedBroker } from "./world.ts";

export interface WalkOptions {
  readonly seed: number;
  readonly steps: number;
  readonly guards?: Partial<ReplicationGuards>;
  /** A mix that makes some faults frequent, in place of what the swarm would draw. */
  readonly focus?: Focus;
}

/** The faults that a run is about. */
export interface Focus {
  readonly weights?: Readonly<Record<string, number>>;
  /** How likely messages of a kind stay away for any time at all. */
  readonly late?: Partial<Record<Message["kind"], number>>;
  readonly metadataDelay?: number;
  /** Milliseconds that pass at a tick: one of these. */
  readonly pace?: readonly number[];
}

export interface WalkResult {
  /** What broke, with the number of the step; undefined when all held. */
  readonly broken: string | undefined;
  /** What happened, in order; the text form of every event. */
  readonly trace: readonly string[];
  readonly acked: number;
  readonly elections: number;
  readonly faults: number;
}

interface Walk {
  readonly random: Random;
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly weights: ReadonlyMap<string, number>;
  /** Where the consumer is: the end of what it has read, and the last leader epoch it saw. */
  readonly consumer: { offset: Offset; seen: LeaderEpoch };
  /** How likely a message is lost, or doubled, or overtakes. */
  readonly loss: number;
  readonly doubling: number;
  readonly overtaking: number;
  /** How likely it stays away for any time at all: those are in `late`. */
  readonly lateness: number;
  readonly latenessOf: Partial<Record<Message["kind"], number>>;
  readonly late: Message[];
  /** How likely metadata stays where it is when its turn comes. */
  readonly metadataDelay: number;
  /** Milliseconds that pass at a tick: one of these. */
  readonly pace: readonly number[];
  readonly producers: IdempotentProducers;
  faults: number;
}

/** Runs one seed. */
export function walk(options: WalkOptions): WalkResult {
  const trace: string[] = [];
  const run = createWalk(options, trace);
  let broken: string | undefined;
  let step = 0;
  try {
    for (; step < options.steps; step++) {
      takeStep(run);
      run.ledger.check(run.cluster);
    }
    converge(run);
  } catch (error) {
    broken = `seed ${options.seed}, step ${step}: ${error instanceof Error ? error.message : String(error)}`;
  }
  const elections = trace.filter((line) => line.startsWith("controller: elects")).length;
  return { broken, trace, acked: run.ledger.acked(), elections, faults: run.faults };
}

function createWalk(options: WalkOptions, trace: string[]): Walk {
  const random = createRandom(options.seed);
  const size = 2 + random.below(3);
  const replicas = Array.from({ length: size }, (_, index) => (index + 1) as BrokerId);
  const state: PartitionState = {
    replicas,
    isr: replicas,
    elr: [],
    minIsr: 1 + random.below(Math.min(3, size)),
    leader: replicas[0],
    leaderEpoch: 0 as LeaderEpoch,
    partitionEpoch: 0 as PartitionEpoch,
    recovering: false,
  };
  const ledger = createLedger();
  const consumer = { offset: 0n as Offset, seen: 0 as LeaderEpoch };
  // Randomness of its own: a walk without producers is what it was.
  const producers = createIdempotentProducers(createRandom(options.seed + 1_000_003), () => cluster);
  const cluster: Cluster = createCluster({
    state,
    settings: { ...defaultSettings, lagTimeMaxMs: random.pick([2_000, 10_000]) ?? 10_000 },
    guards: { ...allGuards, ...options.guards },
    choose: (count) => random.below(count),
    onEvent: (text) => trace.push(text),
    fetchLimit: () => 1 + random.below(4),
    onAnswer: (broker, answer, request) => {
      ledger.answered(cluster, broker, answer, request);
      producers.answered(answer, request);
      if (answer.kind === "consumerRead" && answer.upTo > consumer.offset) consumer.offset = answer.upTo;
      if ("leaderEpoch" in answer && answer.leaderEpoch > consumer.seen) consumer.seen = answer.leaderEpoch;
    },
  });
  for (const broker of cluster.brokers) cluster.boot(broker);
  return {
    random,
    cluster,
    ledger,
    consumer,
    weights: new Map([...drawWeights(random), ...Object.entries(options.focus?.weights ?? {})]),
    loss: random.pick([0, 0.02, 0.1]) ?? 0,
    doubling: random.pick([0, 0.05, 0.2]) ?? 0,
    overtaking: random.pick([0, 0.2, 0.6]) ?? 0,
    lateness: random.pick([0, 0.02, 0.1]) ?? 0,
    latenessOf: options.focus?.late ?? {},
    late: [],
    metadataDelay: options.focus?.metadataDelay ?? random.pick([0, 0.5, 0.9]) ?? 0,
    pace: options.focus?.pace ??
      random.pick([
        [10, 100],
        [100, 500],
        [10, 100, 500, 3_000],
      ]) ?? [100],
    producers,
    faults: 0,
  };
}

/** Swarm: each run draws its own mix, so that rare combinations are the rule in some of them. */
function drawWeights(random: Random): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const name of Object.keys(steps)) {
    if (onDemand.has(name)) continue;
    const usual = usualWeights[name] ?? 1;
    weights.set(name, mends.has(name) ? usual : usual * (random.pick([0, 0.5, 1, 3]) ?? 1));
  }
  return weights;
}

function takeStep(run: Walk): void {
  let total = 0;
  for (const weight of run.weights.values()) total += weight;
  let drawn = (run.random.below(1_000_000) / 1_000_000) * total;
  for (const [name, weight] of run.weights) {
    drawn -= weight;
    if (drawn > 0) continue;
    steps[name]?.(run);
    return;
  }
}

/** Without these a run comes to a standstill: every mix has them. */
const mends = new Set(["deliver", "flush", "produce", "tick", "start", "unfence", "registerAnew"]);
/** Only a mix that asks for them has them. */
const onDemand = new Set(["sendNext", "sendAgain", "sendLate"]);

const usualWeights: Record<string, number> = {
  deliver: 150,
  deliverLate: 3,
  flush: 40,
  produce: 15,
  consume: 8,
  latest: 4,
  tick: 10,
  kill: 0.8,
  cutPower: 0.6,
  start: 6,
  loseDisk: 1,
  endSession: 0.8,
  endSessions: 0.4,
  fence: 0.3,
  fenceFollower: 0.5,
  touch: 0.5,
  unfence: 2,
  moveLeader: 2,
  restartController: 0.5,
  dropProposal: 1,
  checkpoint: 3,
  registerAnew: 3,
  minIsr: 0.3,
  emptyLog: 0.3,
  moveLogStart: 0.3,
};

const steps: Record<string, (run: Walk) => void> = {
  sendNext: (run) => {
    const broker = receiver(run);
    if (broker !== undefined) run.producers.sendNext(broker);
  },
  sendAgain: (run) => {
    const broker = receiver(run);
    if (broker !== undefined) run.producers.sendAgain(broker);
  },
  sendLate: (run) => {
    const broker = receiver(run);
    if (broker !== undefined) run.producers.sendLate(broker);
  },
  deliver: (run) => {
    const { network } = run.cluster;
    const count = network.inFlight.length;
    if (count === 0) return;
    const index = run.random.chance(run.overtaking) ? run.random.below(count) : 0;
    const message = network.inFlight[index];
    if (message === undefined) return;
    // Metadata is pushed in order, and pushed again until it arrives: only its delay is a fault. An attempt of a
    // proposal is one call, which may be lost or late and never comes twice; what comes twice is a new attempt.
    const first = message.kind !== "metadata" ? index : firstMetadata(run, message.to);
    const sent = network.inFlight[first];
    if (sent === undefined || (sent.kind === "metadata" && run.random.chance(run.metadataDelay))) return;
    if (sent.kind !== "metadata" && sent.kind !== "alter" && run.random.chance(run.doubling)) run.faults++;
    else network.inFlight.splice(first, 1);
    if (sent.kind !== "metadata" && run.random.chance(run.loss)) run.faults++;
    else if (sent.kind !== "metadata" && run.random.chance(run.latenessOf[sent.kind] ?? run.lateness))
      run.late.push(sent);
    else run.cluster.deliver(sent);
  },
  deliverLate: (run) => {
    const [message] = run.late.splice(run.random.below(run.late.length), 1);
    if (message === undefined) return;
    run.faults++;
    run.cluster.deliver(message);
  },
  flush: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter((one) => one.log.flushes.length > 0 && isUp(one)));
    if (broker !== undefined) run.cluster.endFlush(broker, run.random.below(broker.log.flushes.length));
  },
  produce: (run) => {
    const broker = receiver(run);
    if (broker === undefined) return;
    const acks: Acks = run.random.pick(["all", "all", "all", "leader", "none"] as const) ?? "all";
    run.cluster.produce(broker, { records: 1 + run.random.below(3), acks, deadlineMs: run.cluster.nowMs() + 5_000 });
  },
  consume: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter(isUp));
    if (broker === undefined) return;
    const { offset, seen } = run.consumer;
    const nowMs = run.cluster.nowMs();
    run.cluster.request(broker, { kind: "fetch", offset }, (requestId) => ({
      kind: "consumerFetch",
      requestId,
      offset,
      seenLeaderEpoch: seen,
      lastReadEpoch: undefined,
      linearizable: false,
      deadlineMs: nowMs + 500,
      nowMs,
    }));
  },
  latest: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter(isUp));
    if (broker === undefined) return;
    const nowMs = run.cluster.nowMs();
    const linearizable = run.random.chance(0.5);
    const atLeast = linearizable ? run.ledger.ackedEnd() : run.consumer.offset;
    run.cluster.request(broker, { kind: "latest", atLeast }, (requestId) => ({
      kind: "latestOffset",
      requestId,
      seenLeaderEpoch: run.consumer.seen,
      linearizable,
      deadlineMs: nowMs + 500,
      nowMs,
    }));
  },
  tick: (run) => {
    run.cluster.advance(run.random.pick(run.pace) ?? 100);
  },
  kill: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter(isUp));
    if (broker === undefined) return;
    run.faults++;
    run.cluster.kill(broker);
  },
  cutPower: (run) => {
    const broker = run.random.pick(run.cluster.brokers);
    if (broker === undefined) return;
    run.faults++;
    run.cluster.cutPower(broker, BigInt(run.random.below(Number(broker.log.end) + 1)) as Offset);
  },
  start: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter((one) => !isUp(one)));
    if (broker !== undefined) run.cluster.start(broker);
  },
  loseDisk: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter((one) => !isUp(one)));
    if (broker === undefined || !othersHold(run, broker)) return;
    run.faults++;
    run.cluster.controller.endSessions([broker.id]);
    run.cluster.replaceDisk(broker);
  },
  endSession: (run) => {
    const broker = run.random.pick(run.cluster.brokers);
    if (broker === undefined || (isUp(broker) && !run.random.chance(0.3))) return;
    run.faults++;
    run.cluster.controller.endSessions([broker.id]);
  },
  endSessions: (run) => {
    const dead = run.cluster.brokers.filter((one) => !isUp(one)).map((one) => one.id);
    if (dead.length > 0) run.cluster.controller.endSessions(dead);
  },
  fence: (run) => {
    const broker = run.random.pick(run.cluster.brokers);
    if (broker === undefined) return;
    run.faults++;
    run.cluster.controller.setFenced(broker.id, true);
  },
  unfence: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter((one) => run.cluster.controller.session(one.id)?.fenced));
    if (broker !== undefined) run.cluster.controller.setFenced(broker.id, false);
  },
  fenceFollower: (run) => {
    const { leader } = run.cluster.controller.state();
    const broker = run.random.pick(run.cluster.brokers.filter((one) => one.id !== leader));
    if (broker === undefined) return;
    run.faults++;
    run.cluster.controller.setFenced(broker.id, true);
  },
  /** A change that has nothing to do with the ISR raises the partition epoch. */
  touch: (run) => {
    const { controller } = run.cluster;
    controller.setMinIsr(controller.state().minIsr);
  },
  moveLeader: (run) => {
    const broker = run.random.pick(run.cluster.brokers);
    if (broker !== undefined) run.cluster.controller.moveLeader(broker.id);
  },
  restartController: (run) => {
    run.cluster.controller.restart();
  },
  dropProposal: (run) => {
    run.faults++;
    run.cluster.controller.dropNext();
  },
  checkpoint: (run) => {
    const broker = run.random.pick(run.cluster.brokers.filter(isUp));
    const view = broker?.partition?.view(0);
    if (broker === undefined || view === undefined) return;
    broker.log.checkpoint = view.highWatermark;
  },
  registerAnew: (run) => {
    const { controller } = run.cluster;
    const ended = run.cluster.brokers.filter((one) => isUp(one) && controller.session(one.id) === undefined);
    const broker = run.random.pick(ended);
    if (broker !== undefined) run.cluster.registerAnew(broker);
  },
  minIsr: (run) => {
    run.cluster.controller.setMinIsr(1 + run.random.below(run.cluster.brokers.length));
  },
  moveLogStart: (run) => {
    const leading = run.random.pick(run.cluster.brokers.filter((one) => one.partition?.view(0).role === "leader"));
    const view = leading?.partition?.view(0);
    if (leading === undefined || view === undefined || view.highWatermark <= view.logStart) return;
    const step = run.random.below(Number(view.highWatermark - view.logStart) + 1);
    run.cluster.input(leading, { kind: "logStartAdvanced", logStart: (view.logStart + BigInt(step)) as Offset });
  },
  emptyLog: (run) => {
    // A running replica is copied anew only once the metadata shows it out of ISR and ELR (L10).
    const { isr, elr, leader } = run.cluster.controller.state();
    const outside = run.cluster.brokers.filter((one) => isUp(one) && !isr.includes(one.id) && !elr.includes(one.id));
    const broker = run.random.pick(outside);
    if (broker === undefined || leader === undefined || run.cluster.controller.session(broker.id) === undefined) return;
    if (broker.partition?.view(0).state?.leaderEpoch !== run.cluster.controller.state().leaderEpoch) return;
    run.faults++;
    run.cluster.emptyLog(broker, { registersFirst: true });
  },
};

/** Whom a client sends to: mostly a broker that leads, or believes that it does. */
function receiver(run: Walk): SimulatedBroker | undefined {
  const leading = run.cluster.brokers.filter((one) => one.partition?.view(0).role === "leader");
  return run.random.pick(run.random.chance(0.9) && leading.length > 0 ? leading : run.cluster.brokers.filter(isUp));
}

function firstMetadata(run: Walk, to: Node): number {
  return run.cluster.network.inFlight.findIndex((message) => message.kind === "metadata" && message.to === to);
}

function isUp(broker: SimulatedBroker): boolean {
  return broker.partition !== undefined;
}

/** P1 holds while one member of the ISR or ELR keeps its disk. */
function othersHold(run: Walk, broker: SimulatedBroker): boolean {
  const { controller, brokers } = run.cluster;
  const { isr, elr } = controller.state();
  return brokers.some(
    (one) => one !== broker && (isr.includes(one.id) || elr.includes(one.id)) && controller.holdsDisk(one.id, one.disk),
  );
}

/** Ends all faults and lets the cluster come to rest: P19. */
function converge(run: Walk): void {
  const { cluster, ledger } = run;
  const { controller } = cluster;
  cluster.network.heal();
  controller.setMinIsr(Math.min(2, cluster.brokers.length));
  for (const broker of cluster.brokers) {
    if (!isUp(broker)) cluster.start(broker);
    else if (controller.session(broker.id) === undefined) cluster.registerAnew(broker);
    controller.setFenced(broker.id, false);
  }
  for (let round = 0; round < 60; round++) {
    rest(run);
    if (isConverged(run)) break;
    cluster.advance(500);
  }
  ledger.check(cluster);
  if (!isConverged(run)) {
    const views = cluster.brokers.map((one) => {
      const view = one.partition?.view(0);
      return `${one.id} ${view?.role} ${view?.logEnd} ${view?.flushed} hw=${view?.highWatermark}`;
    });
    const { leader, isr, leaderEpoch } = controller.state();
    throw new Error(`did not converge: leader=${leader} epoch=${leaderEpoch} isr=(${isr.join()}) ${views.join(", ")}`);
  }
  if (ledger.ackedEnd() > ledger.end()) throw new Error("what was acknowledged is gone");
}

function rest({ cluster, ledger }: Walk): void {
  for (let turn = 0; turn < 20_000; turn++) {
    const flushing = cluster.brokers.find((one) => one.log.flushes.length > 0 && isUp(one));
    const message = flushing === undefined ? cluster.network.next(() => true) : undefined;
    if (flushing !== undefined) cluster.endFlush(flushing);
    else if (message !== undefined) cluster.deliver(message);
    else return;
    if (turn % 16 === 0) ledger.check(cluster);
  }
  throw new Error("the cluster does not come to rest");
}

function isConverged({ cluster, ledger }: Walk): boolean {
  const { isr, leader } = cluster.controller.state();
  if (leader === undefined || isr.length < cluster.brokers.length) return false;
  const view = cluster.broker(leader).partition?.view(0);
  if (view?.leadership === undefined || view.highWatermark !== view.logEnd || ledger.end() !== view.logEnd)
    return false;
  return cluster.brokers.every((one) => one.log.end === view.logEnd && one.log.durable === view.logEnd);
}
