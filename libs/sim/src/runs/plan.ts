import type { BrokerExperiment } from "@tidemark/broker";
import type { ControllerGuards, RaftExperiment } from "@tidemark/controller";
import { below, pick, type Random } from "@tidemark/runtime";
import type { ClusterShape } from "../cluster/cluster.ts";
import { logDirectories, ports } from "../cluster/roles.ts";
import type { RandomTree } from "../engine/random-tree.ts";
import { etcdFaultKindNames, type FaultKind, faultKindNames } from "../faults/fault-kinds.ts";
import type { NemesisPlan } from "../faults/nemesis.ts";
import { drawnScenarioNames, type ScenarioName } from "../faults/scenarios.ts";
import type { startConsumer } from "../workload/consumer-task.ts";
import type { IdempotentPlan } from "../workload/idempotent-task.ts";
import type { OperatorPlan } from "../workload/operator-task.ts";
import type { ProducerPlan } from "../workload/producer-task.ts";

/** Everything that a run does, drawn from its seed or written by hand. */
export interface RunPlan {
  readonly shape: ClusterShape;
  readonly topic: {
    readonly name: string;
    readonly partitions: number;
    readonly replicationFactor: number;
    /** Whether unclean elections are allowed: then what their receipts say was cut may be lost, and nothing else. */
    readonly mayLose: boolean;
  };
  readonly producers: readonly (ProducerPlan & { readonly bootstrap: string })[];
  readonly idempotent: IdempotentPlan & { readonly bootstrap: string };
  readonly consumers: readonly (Omit<Parameters<typeof startConsumer>[1], "topic" | "partitions" | "mayLose"> & {
    readonly bootstrap: string;
  })[];
  readonly operator: OperatorPlan;
  readonly nemesis: NemesisPlan;
  /** After the faults only a random core is mended first, and has to have leaders; then the rest. */
  readonly healsCoreFirst: boolean;
  /** When a broker that no partition needs joins, in milliseconds of the run. Undefined: all are there from the beginning. */
  readonly lateBrokerMs: number | undefined;
  readonly quorum: QuorumPlan;
  /** How long faults are done, in milliseconds. */
  readonly durationMs: number;
  /** How much longer they may be done where the run would not count otherwise, in milliseconds. */
  readonly extraMs: number;
  /** Longest silence that a session survives, and a follower's lag, in milliseconds: as the settings have them. */
  readonly timers: { readonly sessionMs: number; readonly lagMs: number };
  /** Protections that are taken out. Empty: none. */
  readonly broken: Broken;
}

/** Protections that are taken out of brokers, of their logs and replicas, and of controllers. */
export interface Broken extends Pick<BrokerExperiment, "replicationGuards" | "logGuards" | "brokerGuards"> {
  readonly controllerGuards?: ControllerGuards | undefined;
  /** Controllers tell of changes before they are committed. */
  readonly publishesEarly?: boolean | undefined;
  /** What a controller appends to an etcd is not held against the controllers that came after it. */
  readonly appendsUnfenced?: boolean | undefined;
  readonly quorumGuards?: RaftExperiment["guards"];
}

/** How the controllers' own quorum is made, where they have one. */
export interface QuorumPlan {
  /** Controllers that vote from the beginning, and the fewest that the operator leaves. */
  readonly votersFirst: number;
  readonly votersMin: number;
  /** Mean pause between two changes of the members, in milliseconds. */
  readonly changePauseMs: number;
  /** Small, so that snapshots and segments come and go. */
  readonly experiment: Pick<RaftExperiment, "snapshots" | "segmentBytes">;
}

/** What every run of a swarm keeps to. */
export interface SwarmBounds {
  /** Replicas of a partition, and brokers at least. */
  readonly replicationFactor: number;
  /** Absent: drawn. */
  readonly controllers?: number;
  /** Absent: by the number of controllers. */
  readonly backend?: ClusterShape["backend"];
  /** How long faults are done, in milliseconds. Absent: drawn, and long enough for the run to count. */
  readonly durationMs?: number;
  /** Absent: nothing is taken out. */
  readonly broken?: RunPlan["broken"];
  /** How often faults come, as a multiple of the usual. Absent: 1. */
  readonly pace?: number;
  /** The only faults. Absent: drawn. */
  readonly scenario?: ScenarioName;
}

/** The defaults, and shorter ones, with which more happens in the time of a run. */
const timerChoices = [
  { sessionMs: 6000, lagMs: 10_000, heartbeatMs: 500, graceMs: 300, fetchWaitMs: 500 },
  { sessionMs: 1500, lagMs: 2500, heartbeatMs: 200, graceMs: 100, fetchWaitMs: 200 },
  { sessionMs: 1500, lagMs: 2500, heartbeatMs: 200, graceMs: 100, fetchWaitMs: 500 },
] as const;

/** The last is far beyond what any clock does, and within what the terms of leases allow for. */
const clockDrifts = [0, 0.001, 0.03] as const;

type Timers = (typeof timerChoices)[number];

/** A run of its own for each seed: sizes, faults and workload are drawn, so that each leaves out what others do. */
export function drawPlan(random: RandomTree, bounds: SwarmBounds): RunPlan {
  const { replicationFactor, broken, pace = 1 } = bounds;
  const draw = random.stream("plan");
  const wholeMs = 150_000 + below(draw, 90_000);
  const timers = pick(draw, timerChoices) ?? timerChoices[0];
  const bare = drawShape(draw, replicationFactor, timers);
  const drawn = withLogs(random.stream("logs"), withUpkeep(random.stream("upkeep"), bare));
  const clockDriftMax = broken === undefined ? (pick(random.stream("clocks"), clockDrifts) ?? 0) : 0;
  const shape = { ...drawn, ...drawBackend(random.stream("backend"), bounds, drawn), clockDriftMax };
  const mayLose = broken === undefined && random.stream("losses").next() < 0.3;
  const topic = { name: "events", partitions: 1 + below(draw, 3), replicationFactor, mayLose };
  const bootstraps = bootstrapsOf(shape);
  const idempotent = drawIdempotent(random.stream("idempotent"), topic, bootstraps);
  // It waits in each outage, so that only a part of what it might send is counted upon.
  const batches = 2300 + below(draw, 500) - (0.6 * wholeMs) / idempotent.pauseMs;
  return {
    shape,
    topic,
    timers,
    broken: broken ?? {},
    producers: drawIdempotence(
      random.stream("idempotence"),
      drawProducers(draw, { topic, bootstraps, batchesPerS: (1000 * batches) / wholeMs }),
    ),
    idempotent,
    consumers: Array.from({ length: 1 + below(draw, 2) }, () => ({
      bootstrap: pick(draw, bootstraps) ?? "",
      maxWaitMs: pick(draw, [100, 500, 2000]) ?? 500,
      busyMs: pick(draw, [0, 50, 300]) ?? 50,
    })),
    operator: drawOperator(random.stream("operator plan"), topic, shape),
    nemesis: withEtcd(
      shape.backend === "etcd",
      random.stream("etcd faults"),
      drawNemesis(draw, { replicationFactor, pace, scenario: bounds.scenario }),
    ),
    lateBrokerMs:
      broken === undefined && shape.brokers > replicationFactor
        ? drawLateBroker(random.stream("late broker"))
        : undefined,
    healsCoreFirst: random.stream("core first").next() < 0.5,
    quorum: drawQuorum(random.stream("quorum plan"), shape.controllers, pace),
    extraMs: bounds.durationMs === undefined ? 180_000 : 0,
    durationMs: bounds.durationMs ?? wholeMs,
  };
}

/** Drawn apart, so that a seed does the same beside it whatever the backend is. */
function drawBackend(
  draw: Random,
  bounds: SwarmBounds,
  drawn: Pick<ClusterShape, "controllers" | "settings">,
): Pick<ClusterShape, "backend" | "controllers" | "etcds" | "settings"> {
  const byCount = (bounds.controllers ?? drawn.controllers) > 1 ? "raft" : "single";
  const { backend = byCount, controllers = backend === "single" ? 1 : Math.max(3, drawn.controllers) } = bounds;
  if (backend !== "etcd") return { backend, controllers, etcds: 0, settings: drawn.settings };
  const [leaseMs, renewalMs] = pick(draw, [
    [2000, 500],
    [3000, 1000],
    [3000, 500],
  ] as const) ?? [3000, 1000];
  const etcd = {
    "consensus.etcd.lease.ms": leaseMs,
    "consensus.etcd.renewal.ms": renewalMs,
    "consensus.etcd.compact.enable": draw.next() < 0.7,
    "consensus.etcd.compact.interval.ms": pick(draw, [2000, 30_000]) ?? 30_000,
    "consensus.etcd.compact.retain.revisions": pick(draw, [1, 100]) ?? 100,
  };
  const settings = { ...drawn.settings, controller: { ...drawn.settings.controller, ...etcd } };
  return { backend, controllers, etcds: pick(draw, [1, 3, 3]) ?? 3, settings };
}

/** What befalls etcd comes on top. */
function withEtcd(isThere: boolean, draw: Random, plan: NemesisPlan): NemesisPlan {
  if (!isThere || plan.kinds.length === 0) return plan;
  const share = 0.3 + 0.7 * draw.next();
  return { ...plan, kinds: [...plan.kinds, ...etcdFaultKindNames.filter(() => draw.next() < share)] };
}

function drawQuorum(draw: Random, controllers: number, pace: number): QuorumPlan {
  const votersMin = Math.min(3, Math.max(2, controllers - 1));
  const logBytesMin = pick(draw, [2000, 20_000, 16 * 2 ** 20]) ?? 20_000;
  return {
    votersFirst: Math.min(controllers, 3 + below(draw, 3)),
    votersMin,
    changePauseMs: (2000 + below(draw, 20_000)) / pace,
    experiment: {
      snapshots: { logBytesMin, keepBytes: pick(draw, [0, 500, 20_000]) ?? 0 },
      segmentBytes: pick(draw, [1000, 10_000, 2 ** 23]) ?? 10_000,
    },
  };
}

/** `batchesPerS`: what all of them together aim at. */
function drawProducers(
  draw: Random,
  {
    topic,
    bootstraps,
    batchesPerS,
  }: {
    readonly topic: RunPlan["topic"];
    readonly bootstraps: readonly string[];
    readonly batchesPerS: number;
  },
): readonly (ProducerPlan & { readonly bootstrap: string })[] {
  const producerCount = 2 + below(draw, 3);
  return Array.from({ length: producerCount }, () => ({
    bootstrap: pick(draw, bootstraps) ?? "",
    topic: topic.name,
    partitions: topic.partitions,
    options: {
      acks: "all" as const,
      lingerMs: below(draw, 3) * 5,
      requestTimeoutMs: pick(draw, [1000, 5000, 30_000]) ?? 30_000,
      deliveryTimeoutMs: pick(draw, [10_000, 30_000, 120_000]) ?? 120_000,
    },
    pauseMs: (1000 * producerCount) / batchesPerS,
    aimPerS: batchesPerS / producerCount,
    burstMax: 1 + below(draw, 8),
    valueBytesMax: pick(draw, [1, 200, 3000]) ?? 200,
    inFlightMax: 1 + below(draw, 64),
  }));
}

function drawOperator(
  draw: Random,
  topic: RunPlan["topic"],
  shape: Pick<ClusterShape, "gateways" | "brokers" | "controllers">,
): OperatorPlan {
  // Brokers do not administer.
  const bootstraps = bootstrapsOf(shape).filter((each) => each.endsWith(`:${ports.gateway.client}`));
  const { name, replicationFactor } = topic;
  const bootstrap = pick(draw, bootstraps) ?? "";
  const pauseMs = pick(draw, [500, 1000, 3000]) ?? 1000;
  const internal = (role: "broker" | "controller", count: number) =>
    Array.from({ length: count }, (_, at) => `${role}-${at + 1}.sim:${ports[role].internal}`);
  return {
    bootstrap,
    topic: name,
    replicationFactor,
    logs: bootstrapsOf(shape),
    brokers: internal("broker", shape.brokers),
    controllers: internal("controller", shape.controllers),
    pauseMs,
  };
}

/** What is done from time to time is done often, so that it happens in the time of a run. */
function withUpkeep<Shape extends Pick<ClusterShape, "settings">>(draw: Random, shape: Shape): Shape {
  const { settings } = shape;
  const controller = {
    "leader.imbalance.check.interval.seconds": pick(draw, [5, 300]) ?? 300,
    "unclean.recovery.wait.ms": pick(draw, [200, 2000]) ?? 2000,
  };
  const broker = { "log.retention.check.interval.ms": 2000, "log.cleaner.backoff.ms": 3000 };
  return {
    ...shape,
    settings: {
      ...settings,
      controller: { ...settings.controller, ...controller },
      broker: { ...settings.broker, ...broker },
    },
  };
}

/** How brokers keep their logs, and what their replicas may do. */
function withLogs<Shape extends Pick<ClusterShape, "settings">>(draw: Random, shape: Shape): Shape {
  const { settings } = shape;
  const broker = {
    "log.dirs": logDirectories(1 + below(draw, 2)).join(","),
    "log.message.timestamp.type": pick(draw, ["CreateTime", "LogAppendTime"]) ?? "CreateTime",
    "log.flush.hang.ms": pick(draw, [2000, 10_000]) ?? 10_000,
    "producer.window.batches": pick(draw, [5, 64]) ?? 64,
    ...(draw.next() < 0.3 ? { "replica.lag.records.max": 20 + below(draw, 200) } : {}),
  };
  return { ...shape, settings: { ...settings, broker: { ...settings.broker, ...broker } } };
}

function drawLateBroker(draw: Random): number | undefined {
  return draw.next() < 0.5 ? 10_000 + below(draw, 60_000) : undefined;
}

/** Most of them are idempotent, as they are where nobody says otherwise. */
function drawIdempotence(draw: Random, producers: RunPlan["producers"]): RunPlan["producers"] {
  return producers.map((producer) => ({
    ...producer,
    options: { ...producer.options, idempotence: draw.next() < 0.75 },
  }));
}

/** One that speaks for itself, by a gateway, which knows the way to every partition. */
function drawIdempotent(draw: Random, topic: RunPlan["topic"], bootstraps: readonly string[]): RunPlan["idempotent"] {
  return {
    bootstrap:
      pick(
        draw,
        bootstraps.filter((each) => each.endsWith(`:${ports.gateway.client}`)),
      ) ?? "",
    topic: topic.name,
    partitions: topic.partitions,
    pauseMs: 100 + below(draw, 300),
    inFlightMax: 1 + below(draw, 8),
    copies: { share: draw.next(), lateMsMax: pick(draw, [500, 3000, 20_000]) ?? 3000 },
    raiseShare: pick(draw, [0, 0.02, 0.2]) ?? 0.02,
    requestTimeoutMs: pick(draw, [1000, 5000]) ?? 5000,
    deliveryTimeoutMs: pick(draw, [3000, 20_000]) ?? 20_000,
  };
}

function drawNemesis(
  draw: Random,
  of: { readonly replicationFactor: number; readonly pace: number; readonly scenario: ScenarioName | undefined },
): NemesisPlan {
  const kinds = drawKinds(draw);
  const scenarios = drawScenarios(draw, of.replicationFactor);
  const pauseMs = (1500 + below(draw, 6000)) / of.pace;
  return of.scenario === undefined ? { kinds, scenarios, pauseMs } : { kinds: [], scenarios: [of.scenario], pauseMs };
}

function drawShape(draw: Random, replicationFactor: number, timers: Timers): Omit<ClusterShape, "backend" | "etcds"> {
  const session = {
    "broker.heartbeat.interval.ms": timers.heartbeatMs,
    "broker.session.timeout.ms": timers.sessionMs,
    "replica.lag.time.max.ms": timers.lagMs,
  };
  return {
    controllers: replicationFactor < 3 ? 1 : (pick(draw, [1, 3]) ?? 1),
    brokers: replicationFactor + below(draw, 2),
    gateways: 1 + below(draw, 2),
    link: { delayMs: 0.05 + draw.next(), jitterMs: draw.next() },
    clockDriftMax: 0,
    settings: {
      controller: {
        ...session,
        "broker.connection.grace.ms": timers.graceMs,
        "leader.selection": pick(draw, ["random", "assigned-order"]) ?? "random",
      },
      broker: {
        ...session,
        "replica.fetch.wait.max.ms": timers.fetchWaitMs,
        "log.segment.bytes": pick(draw, [16_384, 262_144, 2 ** 30]) ?? 2 ** 30,
        "message.max.bytes": 16_384,
      },
      gateway: { "message.max.bytes": 16_384 },
    },
  };
}

/** At least three kinds, and always something that ends processes. */
function drawKinds(draw: Random): readonly FaultKind[] {
  const share = 0.3 + 0.7 * draw.next();
  const drawn = faultKindNames.filter(() => draw.next() < share);
  return [...new Set<FaultKind>(["killBroker", "powerCutBroker", "pause", ...drawn])];
}

/** Scenarios are about replicas. */
function drawScenarios(draw: Random, replicationFactor: number): readonly ScenarioName[] {
  if (replicationFactor < 3) return [];
  const share = 0.2 + 0.8 * draw.next();
  return drawnScenarioNames.filter(() => draw.next() < share);
}

function bootstrapsOf(shape: Pick<ClusterShape, "gateways" | "brokers">): readonly string[] {
  const gateways = Array.from({ length: shape.gateways }, (_, at) => `gateway-${at + 1}.sim:${ports.gateway.client}`);
  const brokers = Array.from({ length: shape.brokers }, (_, at) => `broker-${at + 1}.sim:${ports.broker.client}`);
  return [...gateways, ...gateways, ...brokers];
}
