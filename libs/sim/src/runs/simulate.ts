import {
  emptyImage,
  findTopic,
  listPartitions,
  listTopics,
  type MetadataImage,
  type Partition,
} from "@tidemark/metadata";
import type { Codecs, StoredRecord } from "@tidemark/record";
import { delay } from "@tidemark/runtime";
import type { KeptSpan } from "@tidemark/telemetry";
import { createControllerActivity } from "../checks/controller-activity.ts";
import { watchController } from "../checks/controller-watch.ts";
import { describeCluster } from "../checks/describe-cluster.ts";
import { createExitWatch } from "../checks/exit-watch.ts";
import { findDifference, reportLosses } from "../checks/final-disks.ts";
import { createLedger, type Ledger } from "../checks/ledger.ts";
import { createLossWatch } from "../checks/losses.ts";
import { type MetadataWatch, startMetadataWatch } from "../checks/metadata-watch.ts";
import { createProduceWatch } from "../checks/produce-watch.ts";
import { createQueueWatch } from "../checks/queue-watch.ts";
import { createReplicaWatch, mayLose, type ReplicaWatch } from "../checks/replica-watch.ts";
import { createRevisionWatch } from "../checks/revision-watch.ts";
import { createStoreWatch } from "../checks/store-watch.ts";
import { createViolations, type Violations } from "../checks/violations.ts";
import { createSimCluster, type SimClient, type SimCluster } from "../cluster/cluster.ts";
import { publishEarly } from "../cluster/early-store.ts";
import { createEngine, type Engine } from "../engine/engine.ts";
import { createRandomTree, type RandomTree } from "../engine/random-tree.ts";
import { drawOutside, lacksLeader } from "../faults/core.ts";
import type { FaultWorld } from "../faults/fault-kinds.ts";
import { type Nemesis, startNemesis } from "../faults/nemesis.ts";
import { takeTurns } from "../node/process.ts";
import { formatQuorum } from "../quorum/format-quorum.ts";
import { type QuorumKeeper, startQuorumKeeper } from "../quorum/quorum-keeper.ts";
import { createQuorumWatch } from "../quorum/quorum-watch.ts";
import { readAll, startConsumer } from "../workload/consumer-task.ts";
import { startIdempotentProducer } from "../workload/idempotent-task.ts";
import { type OperatorTask, startOperator } from "../workload/operator-task.ts";
import { startProducer, type WorkloadGate } from "../workload/producer-task.ts";
import type { SideRecord, SideTopics } from "../workload/side-topics.ts";
import type { Task } from "../workload/task.ts";
import type { RunPlan } from "./plan.ts";
import { countsFrom, type RunResult } from "./result.ts";

/** How long what was begun may take after the faults have ended, in milliseconds of the run. */
const limits = { setupMs: 60_000, settleMs: 180_000, convergeMs: 120_000, compareMs: 20_000 } as const;

/** How often a run that does not count yet is looked at, in milliseconds. */
const goOnMs = 5000;

/** The wall clocks' start: any time does, and this one is not today. */
const wallStartMs = Date.UTC(2030, 0, 1);

/** The parts of one run. */
interface Run {
  readonly engine: Engine;
  readonly random: RandomTree;
  readonly plan: RunPlan;
  readonly cluster: SimCluster;
  readonly violations: Violations;
  readonly ledger: Ledger;
  /** A client on a machine that no fault reaches. */
  readonly observer: SimClient;
  readonly watch: MetadataWatch;
  readonly replicas: ReplicaWatch;
  readonly codecs: Codecs;
  /** The operator of the controllers' own quorum. Undefined: they have none. */
  readonly keeper: QuorumKeeper | undefined;
}

/**
 * One run from its beginning to its verdict: a cluster starts, clients work while faults are done to everything, then
 * everything is mended, and what was promised has to be there. `keepSpan` takes the spans of all services, and
 * changes nothing.
 */
export async function simulate(
  seed: number,
  makePlan: (random: RandomTree) => RunPlan,
  codecs: Codecs,
  keepSpan?: (span: KeptSpan) => void,
): Promise<RunResult> {
  const engine = createEngine();
  const random = createRandomTree(seed);
  const plan = makePlan(random);
  const violations = createViolations(engine);
  const losses = createLossWatch(plan.topic.mayLose ? [plan.topic.name] : []);
  const ledger = createLedger(violations, losses);
  const replicas = createReplicaWatch(violations, engine, () => watch?.image ?? emptyImage);
  const produces = createProduceWatch(violations, (replica) => mayLose(watch?.image ?? emptyImage, replica));
  const quorum = createQuorumWatch(violations);
  const revisions = createRevisionWatch(violations);
  const queues = createQueueWatch(violations, engine);
  const activity = createControllerActivity();
  const { quorumGuards, controllerGuards, publishesEarly, appendsUnfenced, ...brokerGuards } = plan.broken;
  const cluster = createSimCluster(engine, random, {
    ...plan.shape,
    codecs,
    wallStartMs,
    keepSpan,
    networkWatch: {
      onCall: ({ name }, path) => (path.endsWith("/WatchMetadata") ? revisions.follow(name) : undefined),
      onConnection: queues.observe,
    },
    controllerExperimentOn(process) {
      const [check, note] = [watchController(violations), activity.observe(process)];
      return {
        ...(controllerGuards === undefined ? {} : { guards: controllerGuards }),
        wrapConsensus: (store) => revisions.lookAt(process, publishesEarly === true ? publishEarly(store) : store),
        onEvent(event) {
          check(event);
          note(event);
        },
      };
    },
    experimentOn(process, broker) {
      const [replicaStep, produceStep] = [replicas.observe(process, broker), produces.observe(process)];
      return {
        ...brokerGuards,
        onStep(...step) {
          replicaStep(...step);
          produceStep(...step);
        },
      };
    },
    quorumExperimentOn: (process) => ({
      ...plan.quorum.experiment,
      ...(quorumGuards === undefined ? {} : { guards: quorumGuards }),
      observe: quorum.observe(process),
    }),
    onEnd(process) {
      replicas.forget(process);
      produces.forget(process);
      quorum.forget(process);
      revisions.forget(process);
      activity.forget(process);
    },
    onRevision: createStoreWatch(violations),
    onExit: createExitWatch(violations),
    isUnfenced: appendsUnfenced,
  });
  const counts = { batches: 0 };
  const gate = { isOpen: true };
  let nemesis: Nemesis | undefined;
  let keeper: QuorumKeeper | undefined;
  let watch: MetadataWatch | undefined;
  let isDone = false;
  let failure: Error | undefined;

  const work = async () => {
    const observer = await cluster.connect("observer", `${cluster.gateways[0]?.identity.hostName ?? ""}:4640`);
    watch = startMetadataWatch(observer.process, {
      transport: observer.transport,
      controllers: cluster.controllers.map(({ identity }) => `${identity.hostName}:4651`),
      violations,
      onImage: (image) => losses.observe(image),
      hasDamage: (broker, replica) => cluster.brokers[broker - 1]?.device.hasDamage(replica) ?? false,
      isSound: (broker) => cluster.brokers[broker - 1]?.device.isSound === true,
      isFlushed: plan.shape.settings.broker["log.flush"] !== "async",
    });
    checkFromTimeToTime(engine, () => {
      replicas.checkTogether();
      queues.check();
    });
    const hasQuorum = plan.shape.backend === "raft";
    if (hasQuorum) {
      await formatQuorum(cluster.controllers.slice(0, plan.quorum.votersFirst), random.stream("quorum"));
    }
    keeper = hasQuorum ? keepQuorum({ plan, random, cluster, observer }, (text) => nemesis?.note(text)) : undefined;
    const run: Run = { engine, random, plan, cluster, violations, ledger, observer, watch, replicas, codecs, keeper };
    const late = plan.lateBrokerMs === undefined ? undefined : cluster.brokers.at(-1);
    for (const node of cluster.nodes) if (node !== late) node.boot();
    engine.after(plan.lateBrokerMs ?? 0, () => late?.boot());
    await within(run, limits.setupMs, notStarted, () => createTopic(run));
    const { producers, consumers, operator, hosts } = await startWorkload(run, {
      gate,
      onBatch: () => counts.batches++,
    });
    const world: FaultWorld = {
      engine,
      cluster,
      random: random.stream("nemesis"),
      clientHosts: hosts,
      quorum: keeper === undefined ? undefined : { watch: quorum, keeper },
      image: () => run.watch.image,
      topic: plan.topic.name,
      gate,
      replicas,
      operator: observer.client,
      timers: plan.timers,
    };
    nemesis = startNemesis(world, plan.nemesis);
    const { scheduler } = observer.process.runtime;
    await delay(scheduler, plan.durationMs);
    const mayCount = () =>
      counts.batches >= countsFrom.acknowledgedBatches && run.watch.elections >= countsFrom.elections;
    for (let extraMs = 0; extraMs < plan.extraMs && !mayCount(); extraMs += goOnMs) await delay(scheduler, goOnMs);
    if (plan.healsCoreFirst) {
      // Votes are not taken from those who are to be enough.
      keeper?.settle();
      const outside = drawOutside({ ...world, random: random.stream("core") });
      nemesis.heal(outside);
      await within(run, limits.convergeMs, "a core was not enough for leaders", async () =>
        lacksLeader(run.watch.image, cluster, outside),
      );
    }
    nemesis.heal();
    keeper?.settle();
    await endWorkload(run, producers, "producers did not settle");
    await endWorkload(run, [operator], "the operator did not come to an end");
    await within(run, limits.convergeMs, "the cluster did not converge", () => converged(run));
    await within(run, limits.settleMs, "the log could not be read", () => checkLogs(run, operator.sideTopics));
    await within(run, limits.compareMs, "replicas differ below the high watermark", () =>
      findDifference({ image: run.watch.image, cluster, codecs }, replicas),
    );
    await endWorkload(run, consumers, "consumers did not end");
    violations.conclude();
  };
  work().then(
    () => {
      isDone = true;
    },
    (error: unknown) => {
      failure = error instanceof Error ? error : new Error(String(error));
      isDone = true;
    },
  );
  await takeTurns(() => {
    if (isDone || violations.found.length > 0) return false;
    return engine.step(Number.MAX_VALUE);
  });
  const image = watch?.image ?? emptyImage;
  const isBroken = violations.found.length > 0;
  const state = isBroken ? describeCluster({ cluster, image, activeIn: activity.epochOf, replicas, engine }) : [];
  engine.end();
  if (failure !== undefined && !(failure instanceof Overdue)) throw failure;
  return {
    seed,
    hash: engine.hash.digest(),
    violations: violations.found,
    simulatedMs: engine.nowMs,
    events: engine.events,
    acknowledgedBatches: counts.batches,
    elections: watch?.elections ?? 0,
    uncleanElections: watch?.uncleanElections ?? 0,
    quorum: { terms: quorum.elections, entries: quorum.committed, changes: keeper?.changes ?? 0 },
    faults: nemesis?.counts ?? new Map(),
    records: { ...ledger.counts },
    history: nemesis?.history ?? [],
    state,
    exits: cluster.exits.map(({ atMs, node, error }) => `${atMs.toFixed(0)} ms: ${node}: ${error.message}`),
    logs: cluster.logs,
  };
}

function keepQuorum(
  { plan, random, cluster, observer }: Pick<Run, "plan" | "random" | "cluster" | "observer">,
  note: (text: string) => void,
): QuorumKeeper {
  const { votersMin, changePauseMs: pauseMs } = plan.quorum;
  const draw = random.stream("operator");
  return startQuorumKeeper({
    controllers: cluster.controllers,
    operator: observer,
    random: draw,
    votersMin,
    pauseMs,
    note,
  });
}

/** How often what spans several processes is compared, in milliseconds. */
const togetherMs = 100;

function checkFromTimeToTime(engine: Engine, check: () => void): void {
  check();
  engine.after(togetherMs, () => checkFromTimeToTime(engine, check));
}

/** The rule that a run breaks which proves nothing: there was no cluster. */
export const notStarted = "the cluster did not start";

/** Something took longer than it may: the run has its verdict. */
class Overdue extends Error {}

/** Waits for `work`, in time of the run. Where it takes longer, `rule` was broken. */
async function within(run: Run, limitMs: number, rule: string, work: () => Promise<string | undefined>): Promise<void> {
  const { engine, observer, violations } = run;
  const { scheduler } = observer.process.runtime;
  const untilMs = engine.nowMs + limitMs;
  let missing: string | undefined;
  const overdue = delay(scheduler, limitMs).then(() => missing ?? "it has not answered");
  do {
    missing = await Promise.race([work().catch((error: unknown) => String(error)), overdue]);
    if (missing === undefined) return;
    await delay(scheduler, 200);
  } while (engine.nowMs < untilMs);
  // What was acknowledged and is nowhere any more is worse than whatever waits for it.
  await reportLosses({ ...run, image: run.watch.image }, run.plan.topic.name, run.ledger);
  violations.report(rule, missing);
  throw new Overdue(rule);
}

/** Each returns what is still missing. */
async function createTopic({ observer, plan }: Run): Promise<string | undefined> {
  const { name, partitions, replicationFactor, mayLose } = plan.topic;
  const settings: Record<string, string> = mayLose ? { "unclean.leader.election.enable": "true" } : {};
  const topic = { topic: name, partitions, replicationFactor, settings };
  await observer.client.admin.createTopic(topic, { timeoutMs: 5000 });
  return undefined;
}

async function startWorkload(
  run: Run,
  of: { readonly gate: WorkloadGate; readonly onBatch: () => void },
): Promise<{
  readonly producers: readonly Task[];
  readonly consumers: readonly Task[];
  readonly operator: OperatorTask;
  readonly hosts: readonly string[];
}> {
  const { plan, cluster, random, ledger, violations } = run;
  const hosts: string[] = [];
  const producers: Task[] = [];
  for (const [index, producer] of plan.producers.entries()) {
    const client = await cluster.connect(`producer-${index + 1}`, producer.bootstrap);
    hosts.push(client.host.name);
    producers.push(startProducer(client, producer, { ...of, random: random.stream(client.name), ledger }));
  }
  const { bootstrap, ...idempotent } = plan.idempotent;
  const sender = await cluster.connect("idempotent-1", bootstrap);
  hosts.push(sender.host.name);
  producers.push(startIdempotentProducer(sender, idempotent, { random: random.stream(sender.name), ledger, ...of }));
  const consumers: Task[] = [];
  for (const [index, { bootstrap, ...consumer }] of plan.consumers.entries()) {
    const client = await cluster.connect(`consumer-${index + 1}`, bootstrap);
    hosts.push(client.host.name);
    const { name: topic, partitions } = plan.topic;
    const { mayLose } = plan.topic;
    consumers.push(startConsumer(client, { topic, partitions, mayLose, ...consumer }, { ledger, violations }));
  }
  const client = await cluster.connect("operator", plan.operator.bootstrap);
  hosts.push(client.host.name);
  const operator = startOperator(client, plan.operator, { random: random.stream("commands"), violations });
  return { producers, consumers, operator, hosts };
}

async function endWorkload(run: Run, tasks: readonly Task[], rule: string): Promise<void> {
  for (const task of tasks) task.stop();
  let isEnded = false;
  const ended = Promise.all(tasks.map((task) => task.ended)).then(() => {
    isEnded = true;
  });
  await within(run, limits.settleMs, rule, async () => {
    await Promise.race([ended, delay(run.observer.process.runtime.scheduler, 1000)]);
    return isEnded ? undefined : tasks.map((task) => `${task.name} ${task.waitsFor()}`).join("; ");
  });
}

/** Of every topic: leaders are there, every replica is in the ISR, and all that its log holds is committed. */
async function converged({ watch, observer, cluster, keeper }: Run): Promise<string | undefined> {
  const unsettled = keeper?.describe();
  if (unsettled !== undefined) return unsettled;
  for (const topic of listTopics(watch.image)) {
    for (const partition of listPartitions(watch.image, topic.topicId)) {
      const missing = lacks(partition, watch.image, cluster);
      if (missing !== undefined) return `${topic.name}-${partition.partition} ${missing}`;
      const { isr, minIsr } = partition;
      if (isr.length >= minIsr) continue;
      // Nobody is left who could join: what an operator does whose disks are lost for good.
      const set = { "min.insync.replicas": String(isr.length) };
      await observer.client.admin.configureTopic({ topic: topic.name, set }, { timeoutMs: 2000 });
      return `${topic.name}-${partition.partition} has no more than ${isr.length} of ${minIsr} that a commit needs`;
    }
    const { logs } = await observer.client.log.describeLog({ topic: topic.name }, { timeoutMs: 2000 });
    for (const { partition, broker, highWatermark, logEnd } of logs) {
      if (highWatermark === logEnd) continue;
      return `${topic.name}-${partition} on broker ${broker}: ${highWatermark} of ${logEnd} committed`;
    }
  }
  return undefined;
}

/** What a partition still needs to be whole. */
function lacks(
  { leader, isr, elr, replicas }: Partition,
  { sessions }: MetadataImage,
  cluster: SimCluster,
): string | undefined {
  if (leader === undefined) return "has no leader";
  const missing = replicas.filter(({ brokerId, directoryId }) => {
    if (isr.includes(brokerId)) return false;
    // A disk that was replaced may as well be one that is not mounted: while a replica on it is eligible, it stays offline
    // (L10, D8). One that nobody relies on is copied anew.
    const isGone = elr.includes(brokerId) && cluster.brokers[brokerId - 1]?.device.wasLost === true;
    const isThere = directoryId === undefined || sessions.get(brokerId)?.directoryIds.includes(directoryId) === true;
    return isThere || !isGone;
  });
  if (missing.length === 0) return undefined;
  return `has no ${missing.map(({ brokerId }) => brokerId).join(",")} in its ISR`;
}

async function checkLogs(run: Run, sideTopics: SideTopics): Promise<string | undefined> {
  const { plan, observer, ledger } = run;
  const forEver = new AbortController().signal;
  const found = await readAll(observer, plan.topic.name, forEver);
  for (let partition = 0; partition < plan.topic.partitions; partition++) {
    const values = (found.get(partition) ?? []).map(
      ({ offset, value }) => [offset, value ?? new Uint8Array(0)] as const,
    );
    ledger.checkFinal(plan.topic.name, partition, new Map(values));
  }
  for (const topic of sideTopics.all) {
    // Somebody may have deleted it without hearing so.
    if (findTopic(run.watch.image, topic.name)?.topicId !== topic.topicId) continue;
    const read = await readAll(observer, topic.name, forEver);
    for (let partition = 0; partition < topic.partitions; partition++) {
      sideTopics.checkFinal(topic, partition, (read.get(partition) ?? []).map(toSideRecord));
    }
  }
  return undefined;
}

const decoder = new TextDecoder();

function toSideRecord({ offset, key, value }: StoredRecord): SideRecord {
  const text = (bytes: Uint8Array | null) => (bytes === null ? undefined : decoder.decode(bytes));
  return { offset, key: text(key), value: text(value) ?? "" };
}
