import type { BrokerExperiment } from "@tidemark/broker";
import { below, pick, type Random } from "@tidemark/runtime";
import type { ClusterShape } from "../cluster/cluster.ts";
import { ports } from "../cluster/roles.ts";
import type { RandomTree } from "../engine/random-tree.ts";
import { type FaultKind, faultKindNames } from "../faults/fault-kinds.ts";
import type { NemesisPlan } from "../faults/nemesis.ts";
import type { ProducerPlan } from "../workload/producer-task.ts";

/** Everything that a run does, drawn from its seed or written by hand. */
export interface RunPlan {
  readonly shape: ClusterShape;
  readonly topic: { readonly name: string; readonly partitions: number; readonly replicationFactor: number };
  readonly producers: readonly (ProducerPlan & { readonly bootstrap: string })[];
  readonly consumers: readonly { readonly bootstrap: string; readonly maxWaitMs: number }[];
  readonly nemesis: NemesisPlan;
  /** How long faults are done, in milliseconds. */
  readonly durationMs: number;
  /** Protections that are taken out. Empty: none. */
  readonly broken: Pick<BrokerExperiment, "replicationGuards" | "logGuards">;
}

/** What every run of a swarm keeps to. */
export interface SwarmBounds {
  /** Replicas of a partition, and brokers at least. */
  readonly replicationFactor: number;
  /** How long faults are done, in milliseconds. Absent: drawn, and long enough for the run to count. */
  readonly durationMs?: number;
  /** Absent: nothing is taken out. */
  readonly broken?: RunPlan["broken"];
}

/** A run of its own for each seed: sizes, faults and workload are drawn, so that each leaves out what others do. */
export function drawPlan(random: RandomTree, { replicationFactor, durationMs, broken = {} }: SwarmBounds): RunPlan {
  const draw = random.stream("plan");
  const shape = drawShape(draw, replicationFactor);
  const topic = { name: "events", partitions: 1 + below(draw, 3), replicationFactor };
  const bootstraps = bootstrapsOf(shape);
  const producerCount = 2 + below(draw, 3);
  const burstsPerS = 14 + below(draw, 16);
  const producers = Array.from({ length: producerCount }, () => ({
    bootstrap: pick(draw, bootstraps) ?? "",
    topic: topic.name,
    partitions: topic.partitions,
    options: {
      acks: "all" as const,
      lingerMs: below(draw, 3) * 5,
      requestTimeoutMs: pick(draw, [1000, 5000, 30_000]) ?? 30_000,
      deliveryTimeoutMs: pick(draw, [10_000, 30_000, 120_000]) ?? 120_000,
    },
    pauseMs: (1000 * producerCount) / burstsPerS,
    burstMax: 1 + below(draw, 8),
    valueBytesMax: pick(draw, [1, 200, 3000]) ?? 200,
    inFlightMax: 1 + below(draw, 64),
  }));
  const consumers = Array.from({ length: 1 + below(draw, 2) }, () => ({
    bootstrap: pick(draw, bootstraps) ?? "",
    maxWaitMs: pick(draw, [100, 500, 2000]) ?? 500,
  }));
  return {
    shape,
    topic,
    producers,
    consumers,
    broken,
    nemesis: { kinds: drawKinds(draw), pauseMs: 1500 + below(draw, 6000) },
    durationMs: durationMs ?? 150_000 + below(draw, 90_000),
  };
}

function drawShape(draw: Random, replicationFactor: number): ClusterShape {
  return {
    controllers: 1,
    brokers: replicationFactor + below(draw, 2),
    gateways: 1 + below(draw, 2),
    link: { delayMs: 0.05 + draw.next(), jitterMs: draw.next() },
    settings: {
      controller: {},
      broker: { "log.segment.bytes": pick(draw, [16_384, 262_144, 2 ** 30]) ?? 2 ** 30, "message.max.bytes": 16_384 },
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

function bootstrapsOf(shape: ClusterShape): readonly string[] {
  const gateways = Array.from({ length: shape.gateways }, (_, at) => `gateway-${at + 1}.sim:${ports.gateway.client}`);
  const brokers = Array.from({ length: shape.brokers }, (_, at) => `broker-${at + 1}.sim:${ports.broker.client}`);
  return [...gateways, ...gateways, ...brokers];
}
