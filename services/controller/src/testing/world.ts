/**
 * Controllers in memory: the ones that processes run, on manual time, seeded chance, a store with faults, and a network
 * in which a test says what a probe finds. Brokers are played by the test.
 */
import { type Consensus, createConsensusTwin } from "@tidemark/consensus";
import type { CandidateNumber, ConsensusCluster } from "@tidemark/consensus/contract";
import type { BrokerEpoch, LeaderEpoch, Offset } from "@tidemark/ids";
import type { ProbeResult } from "@tidemark/rpc";
import { createManualTime, createSeededRandom, type ManualTime, type Runtime } from "@tidemark/runtime";
import { type Controller, createController } from "../controller.ts";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { ControllerSettings } from "../settings.ts";
import type { ElectionTracer } from "../tracing/election-tracer.ts";
import type { DescribeReplicas } from "../unclean/describe-replicas.ts";

const testSettings: ControllerSettings = {
  sessionTimeoutMs: 6000,
  connectionGraceMs: 300,
  leaderSelection: "assigned-order",
  defaultPartitions: 1,
  defaultReplicationFactor: 3,
  minInsyncReplicas: 2,
  limits: { topicsMax: 10_000, partitionsMax: 50_000 },
  rebalance: undefined,
  uncleanElection: false,
  uncleanRecoveryWaitMs: 1000,
};

/** What a world needs of a store; the twin has more faults than these. */
export type TestStore = Pick<ConsensusCluster, "identity" | "start" | "kill" | "until" | "close">;

/** One controller of a world, with what it told. */
export interface Node {
  readonly number: CandidateNumber;
  readonly controller: Controller;
  readonly events: ControllerEvent[];
  readonly fatal: Error[];
  /** What it learnt of its cluster. */
  readonly clusters: string[];
  /** The process stands still for so long; then its timers are late. */
  stallFor(durationMs: number): void;
}

/** How far the log of each replica of a broker goes. */
interface LogOfTest {
  readonly lastLeaderEpoch: number;
  readonly logEnd: Offset;
  readonly logStart: Offset;
  readonly regressedFrom?: LeaderEpoch;
  /** Of the answer. Absent: the one that it has. */
  readonly brokerEpoch?: BrokerEpoch;
}

interface StartOptions {
  readonly settings?: Partial<ControllerSettings>;
  readonly known?: string;
  readonly configured?: string;
  readonly traces?: ElectionTracer;
  readonly onLed?: (isLed: boolean) => void;
  /** Changes the handle on the store on its way to the controller. */
  readonly wrap?: (consensus: Consensus) => Consensus;
}

export interface World<Store extends TestStore = ConsensusCluster> {
  readonly time: ManualTime;
  readonly runtime: Runtime;
  readonly store: Store;
  /** What a probe of a port finds; `reached` where nothing is said. */
  readonly ports: Map<number, ProbeResult | Promise<ProbeResult>>;
  /** What a broker says of its replicas when it is asked; one of which nothing is said cannot be reached. */
  readonly logs: Map<number, LogOfTest | "silent">;
  start(number: CandidateNumber, options?: StartOptions): Promise<Node>;
  /** Kills the process: its handles never answer again, its timers never run again. */
  kill(node: Node): void;
  /** Waits for a condition while promises settle and faults are noticed; time stands still. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** The active one of all that live. */
  active(): Promise<Node>;
  /** Awaits a promise while the world goes on. */
  settle<Value>(promise: Promise<Value> | Value): Promise<Value>;
  close(): Promise<void>;
}

/** With this chance a world's first topic of three replicas is on brokers 1, 2 and 3, in this order. */
const seedOfTests = 5;

export function createWorld(): Promise<World> {
  return createWorldOn(({ runtime }) => createConsensusTwin({ runtime }));
}

export async function createWorldOn<Store extends TestStore>(
  openStore: (of: { readonly runtime: Runtime; readonly time: ManualTime }) => Promise<Store>,
): Promise<World<Store>> {
  const time = createManualTime();
  const runtime: Runtime = { ...time, random: createSeededRandom(seedOfTests) };
  // A chance of its own: what a store draws changes nothing of what controllers decide.
  const store = await openStore({ runtime: { ...time, random: createSeededRandom(seedOfTests + 1) }, time });
  const surroundings: Surroundings = { time, runtime, ports: new Map(), logs: new Map(), living: new Set() };
  const { ports, logs, living } = surroundings;
  const { until, settle } = createWaits(store, time);
  const find = () => [...living].find(({ controller }) => controller.isActive);

  return {
    time,
    runtime,
    store,
    ports,
    logs,
    until,
    settle,
    async start(number, options = {}) {
      const handle = await settle(store.start(number));
      const identity = store.identity(number);
      const node = makeNode(surroundings, { number, identity, handle, options });
      living.add(node);
      await settle(node.controller.start(identity.endpoint));
      return node;
    },
    kill(node) {
      living.delete(node);
      store.kill(node.number);
    },
    async active() {
      await until(() => find() !== undefined, "an active controller");
      const found = find();
      if (found === undefined) throw new Error("No active controller");
      return found;
    },
    async close() {
      await settle(Promise.all(Array.from(living, ({ controller }) => controller.stop())));
      await settle(store.close());
    },
  };
}

/** What surrounds the controllers of a world. */
interface Surroundings extends Pick<World, "time" | "runtime" | "ports" | "logs"> {
  readonly living: Set<Node>;
}

function createWaits(store: TestStore, time: ManualTime): Pick<World, "until" | "settle"> {
  const until = async (condition: () => boolean, what: string) => {
    let turns = 0;
    const done = store.until(() => {
      turns += 1;
      if (turns > 5000) throw new Error(`Not reached: ${what}`);
      return condition();
    }, what);
    done.catch(() => undefined);
    await time.advance(0);
    await done;
  };
  const settle = async <Value>(promise: Promise<Value> | Value): Promise<Value> => {
    let isSettled = false;
    const settled = Promise.resolve(promise).finally(() => {
      isSettled = true;
    });
    settled.catch(() => undefined);
    await until(() => isSettled, "an answer");
    return settled;
  };
  return { until, settle };
}

/** A controller that does not run yet. Once it is not among the living its timers never run again. */
function makeNode(
  { time, runtime, ports, logs, living }: Surroundings,
  of: {
    readonly number: CandidateNumber;
    readonly identity: ReturnType<TestStore["identity"]>;
    readonly handle: Consensus;
    readonly options: StartOptions;
  },
): Node {
  const { number, identity, handle, options } = of;
  const told = { number, events: [] as ControllerEvent[], fatal: [] as Error[], clusters: [] as string[] };
  let stalledMs = 0;
  const isDead = () => !living.has(node);
  const controller = createController({
    ...identity,
    cluster: { known: options.known, configured: options.configured },
    consensus: options.wrap?.(handle) ?? handle,
    backend: "twin",
    settings: { ...testSettings, ...options.settings },
    runtime: {
      random: runtime.random,
      clock: { ...time.clock, monotonicMs: () => time.clock.monotonicMs() + stalledMs },
      scheduler: {
        after: (delayMs, task) => time.scheduler.after(delayMs, () => isDead() || task()),
        afterInput: (task) => time.scheduler.afterInput(() => isDead() || task()),
      },
    },
    describeReplicas: describeFrom(logs),
    probe: async ({ port }) => ports.get(port) ?? "reached",
    traces: options.traces ?? { traceparentOf: () => undefined },
    onEvent(event) {
      options.traces?.onEvent(event);
      told.events.push(event);
    },
    onLed: options.onLed,
    onCluster: (id) => told.clusters.push(id),
    onFatal: (error) => told.fatal.push(error),
  });
  const stallFor = (durationMs: number) => {
    stalledMs += durationMs;
  };
  const node: Node = { ...told, controller, stallFor };
  return node;
}

function describeFrom(logs: World["logs"]): DescribeReplicas {
  return async ({ brokerId, brokerEpoch }, partitions) => {
    const log = logs.get(brokerId);
    if (log === "silent") return new Promise(() => undefined);
    if (log === undefined) throw new Error(`Broker ${brokerId} does not answer`);
    const replicas = partitions.map((each) => ({ ...each, ...log }));
    return { brokerEpoch: log.brokerEpoch ?? brokerEpoch, replicas };
  };
}
