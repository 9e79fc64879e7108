/**
 * Controllers in memory: the ones that processes run, on manual time, seeded chance, a store with faults, and a network
 * in which a test says what a probe finds. Brokers are played by the test.
 */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Consensus, createConsensusTwin } from "@tidemark/consensus";
import type { CandidateNumber, ConsensusCluster } from "@tidemark/consensus/contract";
import type { Endpoint } from "@tidemark/metadata";
import {
  HeartbeatRequestSchema,
  type HeartbeatResponseSchema,
  RegisterRequestSchema,
} from "@tidemark/proto/cluster/v1";
import type { CallContext } from "@tidemark/rpc";
import { createManualTime, createSeededRandom, type ManualTime, type Runtime } from "@tidemark/runtime";
import { type Controller, createController } from "../controller.ts";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { ProbeResult } from "../sessions/probe.ts";
import type { ControllerSettings } from "../settings.ts";

export const testSettings: ControllerSettings = {
  sessionTimeoutMs: 6000,
  connectionGraceMs: 300,
  leaderSelection: "random",
  defaultPartitions: 1,
  defaultReplicationFactor: 3,
  minInsyncReplicas: 2,
  limits: { topicsMax: 10_000, partitionsMax: 50_000, replicationFactorMax: 10 },
};

/** One controller of a world, with what it told. */
export interface Node {
  readonly number: CandidateNumber;
  readonly controller: Controller;
  readonly events: ControllerEvent[];
  readonly fatal: Error[];
  /** What it learnt of its cluster. */
  readonly clusters: string[];
}

export interface World {
  readonly time: ManualTime;
  readonly runtime: Runtime;
  readonly store: ConsensusCluster;
  /** What a probe of a port finds; `reached` where nothing is said. */
  readonly ports: Map<number, ProbeResult>;
  start(
    number: CandidateNumber,
    options?: {
      readonly settings?: Partial<ControllerSettings>;
      readonly known?: string;
      readonly configured?: string;
    },
  ): Promise<Node>;
  /** Kills the process: its handles never answer again. */
  kill(node: Node): void;
  /** Waits for a condition while promises settle and faults are noticed; time stands still. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** The active one of all that live. */
  active(): Promise<Node>;
  /** Awaits a promise while the world goes on. */
  settle<Value>(promise: Promise<Value> | Value): Promise<Value>;
  close(): Promise<void>;
}

export async function createWorld(
  options: {
    readonly seed?: number;
    /** The store; the in-memory twin unless said otherwise. */
    readonly openStore?: (runtime: Runtime) => Promise<ConsensusCluster>;
    /** Changes a handle on its way to the controller. */
    readonly wrap?: (consensus: Consensus, number: CandidateNumber) => Consensus;
  } = {},
): Promise<World> {
  const time = createManualTime();
  const runtime: Runtime = { ...time, random: createSeededRandom(options.seed ?? 1) };
  const openStore = options.openStore ?? ((of: Runtime) => createConsensusTwin({ runtime: of }));
  const store = await openStore(runtime);
  const ports = new Map<number, ProbeResult>();
  const living = new Set<Node>();
  const dead = new Set<CandidateNumber>();

  const until = async (condition: () => boolean, what: string) => {
    let turns = 0;
    const done = store.until(() => {
      turns += 1;
      if (turns > 3000) throw new Error(`Not reached: ${what}`);
      return condition();
    }, what);
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

  /** A process's own timers: none of them runs once it is dead. */
  const runtimeOf = (isDead: () => boolean): Runtime => ({
    ...runtime,
    scheduler: {
      after: (delayMs, task) => time.scheduler.after(delayMs, () => isDead() || task()),
      afterInput: (task) => time.scheduler.afterInput(() => isDead() || task()),
    },
  });

  return {
    time,
    runtime,
    store,
    ports,
    until,
    async start(number, { settings, known, configured } = {}) {
      dead.delete(number);
      const handle = await store.start(number);
      const identity = store.identity(number);
      const node = { number, events: [] as ControllerEvent[], fatal: [] as Error[], clusters: [] as string[] };
      const controller = createController({
        ...identity,
        cluster: { known, configured },
        consensus: options.wrap?.(handle, number) ?? handle,
        backend: "twin",
        settings: { ...testSettings, ...settings },
        runtime: runtimeOf(() => dead.has(number)),
        probe: async ({ port }: Endpoint) => ports.get(port) ?? "reached",
        onEvent: (event) => node.events.push(event),
        onCluster: (id) => node.clusters.push(id),
        onFatal: (error) => node.fatal.push(error),
      });
      const started: Node = { ...node, controller };
      living.add(started);
      let isStarted = false;
      const starting = controller.start(identity.endpoint).then(() => {
        isStarted = true;
      });
      await until(() => isStarted, `controller ${number} joined`);
      await starting;
      return started;
    },
    kill(node) {
      living.delete(node);
      dead.add(node.number);
      store.kill(node.number);
    },
    async active() {
      let found: Node | undefined;
      await until(() => {
        found = [...living].find(isReady);
        return found !== undefined;
      }, "an active controller");
      if (found === undefined) throw new Error("No active controller");
      return found;
    },
    settle,
    async close() {
      await settle(Promise.all(Array.from(living, ({ controller }) => controller.stop())));
      await settle(store.close());
    },
  };
}

/** Active, and past the first commands of its term. */
function isReady({ controller, events }: Node): boolean {
  return controller.isActive && events.some((event) => event.kind === "activated");
}

/** A call's context as a server would make it. */
export function callContext(signal: AbortSignal = new AbortController().signal): CallContext {
  return { signal } as CallContext;
}

/** A request with its defaults. */
export function request<Desc extends DescMessage>(
  schema: Desc,
  init: MessageInitShape<Desc> = {} as MessageInitShape<Desc>,
): MessageShape<Desc> {
  return create(schema, init);
}

const uuid = (letter: string, number: number) =>
  `${letter.repeat(8)}-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** What a broker of this number says when it registers. */
export function registration(
  broker: number,
  init: MessageInitShape<typeof RegisterRequestSchema> = {},
): MessageShape<typeof RegisterRequestSchema> {
  return request(RegisterRequestSchema, {
    brokerId: broker,
    incarnationId: uuid("e", broker),
    directoryIds: [uuid("d", broker)],
    endpoints: [
      { listener: "client", host: "127.0.0.1", port: 4660 + broker },
      { listener: "internal", host: "127.0.0.1", port: 5660 + broker },
    ],
    ...init,
  });
}

/** The port that a probe of this broker tries. */
export function portOf(broker: number): number {
  return 5660 + broker;
}

/** A heartbeat stream that a test drives. */
export interface HeartbeatStream {
  beat(init?: MessageInitShape<typeof HeartbeatRequestSchema>): void;
  readonly answers: MessageInitShape<typeof HeartbeatResponseSchema>[];
  /** Why it failed. Undefined while it has not. */
  failure(): unknown;
  /** The broker closes it, or its connection breaks: the controller sees the same. */
  close(): void;
}

export function openHeartbeat(
  world: World,
  node: Node,
  broker: { readonly brokerId: number; readonly brokerEpoch: number },
): HeartbeatStream {
  const queue: MessageShape<typeof HeartbeatRequestSchema>[] = [];
  let wake: () => void = () => undefined;
  let isClosed = false;
  let failure: unknown;
  let sequence = 0n;
  async function* requests() {
    while (!isClosed || queue.length > 0) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const answers: MessageInitShape<typeof HeartbeatResponseSchema>[] = [];
  const read = async () => {
    for await (const answer of node.controller.cluster.heartbeat(requests(), callContext())) answers.push(answer);
  };
  const reading = read().catch((error: unknown) => {
    failure = error;
  });
  return {
    answers,
    failure: () => failure,
    beat(init = {}) {
      sequence += 1n;
      queue.push(request(HeartbeatRequestSchema, { ...broker, sequence, ...init }));
      wake();
    },
    close() {
      isClosed = true;
      wake();
      world.time.scheduler.afterInput(() => reading.finally(() => undefined));
    },
  };
}
