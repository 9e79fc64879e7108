import type { RandomTree } from "../engine/random-tree.ts";
import type { ScenarioName } from "../faults/scenarios.ts";
import { drawPlan, type RunPlan } from "./plan.ts";

/** What a chain of faults needs beside three replicas. */
interface Needs {
  readonly broker?: Readonly<Record<string, string | number | boolean>>;
  readonly brokers?: number;
  readonly controllers?: number;
  readonly backend?: RunPlan["shape"]["backend"];
}

const needs: Partial<Record<ScenarioName, Needs>> = {
  oldFetchArrivesLast: { broker: { "log.flush": "async" } },
  madeAgainWhileOneIsAway: { brokers: 4 },
  appendArrivesLast: { controllers: 3, backend: "etcd" },
};

/** Short ones: more happens in the time of a run. */
const timers = { sessionMs: 1000, lagMs: 1500, heartbeatMs: 150, graceMs: 100, fetchWaitMs: 300 } as const;

/**
 * A small cluster with one partition, short timers and quick links, in which one chain of faults is done again and again
 * and nothing else: what a protection is taken out for.
 */
export function aimedPlan(
  random: RandomTree,
  of: { readonly scenario: ScenarioName; readonly broken: RunPlan["broken"]; readonly durationMs: number },
): RunPlan {
  const { scenario, broken, durationMs } = of;
  const { broker = {}, brokers = 3, controllers = 1, backend = "single" } = needs[scenario] ?? {};
  const drawn = drawPlan(random, { replicationFactor: 3, controllers, backend, broken, durationMs });
  const session = {
    "broker.heartbeat.interval.ms": timers.heartbeatMs,
    "broker.session.timeout.ms": timers.sessionMs,
    "replica.lag.time.max.ms": timers.lagMs,
  };
  const { settings } = drawn.shape;
  return {
    ...drawn,
    shape: {
      ...drawn.shape,
      brokers,
      gateways: 1,
      link: { delayMs: 0.2, jitterMs: 0.1 },
      settings: {
        ...settings,
        controller: {
          ...settings.controller,
          ...session,
          "broker.connection.grace.ms": timers.graceMs,
          "leader.selection": "assigned-order",
        },
        broker: { ...settings.broker, ...session, "replica.fetch.wait.max.ms": timers.fetchWaitMs, ...broker },
      },
    },
    topic: { ...drawn.topic, partitions: 1 },
    timers,
    broken,
    producers: drawn.producers.slice(0, 2).map((producer) => ({
      ...producer,
      bootstrap: "gateway-1.sim:4640",
      partitions: 1,
      options: { acks: "all", lingerMs: 0, requestTimeoutMs: 1000, deliveryTimeoutMs: 10_000 },
      pauseMs: 25,
      burstMax: 4,
      valueBytesMax: 200,
      inFlightMax: 64,
    })),
    // What comes twice and late is refused or answered as before, and so it is no harm to any chain.
    idempotent: {
      ...drawn.idempotent,
      bootstrap: "gateway-1.sim:4640",
      partitions: 1,
      pauseMs: 60,
      inFlightMax: 4,
      copies: { share: 0.5, lateMsMax: 2000 },
      raiseShare: 0.2,
      requestTimeoutMs: 1000,
      deliveryTimeoutMs: 10_000,
    },
    // Commands of anybody else would come between the steps of a chain.
    operator: { ...drawn.operator, pauseMs: Number.MAX_SAFE_INTEGER },
    consumers: [{ bootstrap: "gateway-1.sim:4640", maxWaitMs: 500, busyMs: 0 }],
    nemesis: { kinds: [], scenarios: [scenario], pauseMs: 150 },
    durationMs,
  };
}
