import type { BrokerExperiment } from "@tidemark/broker";
import type { ControllerExperiment, RaftExperiment } from "@tidemark/controller";
import type { RunningService } from "@tidemark/service";
import { type KeptSpan, startTelemetry } from "@tidemark/telemetry";
import type { Engine } from "../engine/engine.ts";
import type { RandomTree } from "../engine/random-tree.ts";
import { clockRateNear, createSimProcess, type SimProcess } from "../engine/sim-process.ts";
import type { SimEtcd } from "../etcd/etcd-cluster.ts";
import { dialFrom } from "../etcd/hold-connection.ts";
import type { Host } from "../network/host.ts";
import type { Network } from "../network/network.ts";
import { createDevice, type Device } from "../storage/sim-disk.ts";
import { type NodeIdentity, startNode } from "./roles.ts";
import { simulatedWorld } from "./simulated-world.ts";

/** The share of produces and fetches that are traced; elections and changes of the ISR are always. */
const tracedShare = "0.05";

/** A machine with its disk, and the service that runs on it from one start to the next. */
export interface SimNode {
  readonly name: string;
  readonly identity: NodeIdentity;
  readonly host: Host;
  readonly device: Device;
  /** The process that runs now. Undefined while none does. */
  readonly process: SimProcess | undefined;
  /** Undefined until the service answers. */
  readonly service: RunningService | undefined;
  /** Starts the service; does nothing while one runs, or while the machine is retired. */
  boot(): void;
  /** As `kill`; and whoever starts it, a supervisor or a fault that ends late, starts nothing until it is reinstated. */
  retire(): void;
  reinstate(): void;
  /** kill -9: the machine tells its peers, what was written stays. */
  kill(): void;
  /** The machine goes dark: nobody is told, and what was not flushed may be lost, torn or kept. */
  losePower(): void;
  /** SIGTERM. Resolves when the process has ended, or is dead otherwise. */
  shutDown(): Promise<void>;
}

/** A process ended by itself: its start was refused, or it could not go on. */
export interface ProcessExit {
  readonly atMs: number;
  readonly node: string;
  readonly error: Error;
  /**
   * Its disk gave it cause: it failed an operation, or let one hang, while the process lived; or it is another one than
   * before, which the start of a broker is refused for as long as its old session lasts (D8).
   */
  readonly isOfDisk: boolean;
}

export interface NodeWorld {
  readonly engine: Engine;
  readonly random: RandomTree;
  readonly network: Network;
  readonly etcd: SimEtcd;
  readonly wallStartMs: number;
  /** As the shape of the cluster has it. */
  readonly clockDriftMax: number;
  /** A line of a service's log. */
  readonly onLog: (node: string, line: string) => void;
  /**
   * Takes every span of every service. Absent: they are made all the same, since contexts travel in messages and are
   * stored with batches, so that a run whose spans are looked at is the run without.
   */
  readonly keepSpan?: ((span: KeptSpan) => void) | undefined;
  /** What is asked of the broker that lives in this process. */
  readonly experimentOn: (process: string, broker: number) => BrokerExperiment;
  /** What is asked of the controller that lives in this process. */
  readonly controllerExperimentOn: (process: string) => ControllerExperiment;
  /** What is asked of its part of the controllers' quorum. */
  readonly quorumExperimentOn: (process: string) => RaftExperiment;
  /** A process has ended, however it did. */
  readonly onEnd: (process: string) => void;
  /** A process ended by itself. */
  readonly onExit: (node: SimNode, exit: Pick<ProcessExit, "error" | "isOfDisk">) => void;
}

export function createSimNode(world: NodeWorld, name: string, identity: NodeIdentity): SimNode {
  const { engine, network } = world;
  const random = world.random.branch(name);
  const host = network.addHost(identity.hostName);
  const device = createDevice(random.stream("device"));
  const clockRate = clockRateNear(1 + (2 * random.stream("clock").next() - 1) * world.clockDriftMax);
  let lives = 0;
  let boots = 1;
  let isRetired = false;
  let process: SimProcess | undefined;
  let service: RunningService | undefined;

  const end = (ended: SimProcess) => {
    if (process !== ended) return;
    ended.kill();
    process = undefined;
    service = undefined;
    network.endProcess(host);
    device.memory.kill();
    world.onEnd(ended.name);
  };
  const run = async (mine: SimProcess): Promise<void> => {
    const refusalsBefore = device.refusals;
    const exit = (error: Error) => {
      // What it still had to say is said; then it is gone.
      mine.arrive("afterInput", 0, () => {
        if (process !== mine) return;
        const hadStarted = service !== undefined;
        end(mine);
        const isOfDisk = device.refusals > refusalsBefore || (device.wasLost && !hadStarted);
        world.onExit(node, { error, isOfDisk });
      });
    };
    try {
      const { role } = identity;
      if (role === "etcd") {
        world.etcd.serve(identity.id, { host, process: mine });
        service = { endpoints: {}, isReady: () => true, stop: async () => undefined };
        return;
      }
      const { keepSpan = () => undefined } = world;
      const telemetry = await startTelemetry({
        service: `tidemark-${role}`,
        instanceId: name,
        runtime: mine.runtime,
        environment: { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: tracedShare },
        keep: { onSpan: keepSpan, random: random.stream(`spans ${lives}`) },
        logLevel: "warn",
        metricsListener: undefined,
        writeLog: (line) => world.onLog(name, line),
      });
      const simulated = simulatedWorld({ network, host, device, process: mine, telemetry, onFatal: exit });
      const place = { host, process: mine };
      const started = await startNode(
        {
          ...identity,
          role,
          bootId: `boot ${boots} of ${name}`,
          experiment: world.experimentOn(mine.name, identity.id),
          controllerExperiment: world.controllerExperimentOn(mine.name),
          etcd: { members: () => world.etcd.reach(place), dial: dialFrom(network, place) },
          quorumExperiment: world.quorumExperimentOn(mine.name),
        },
        simulated,
      );
      if (process === mine) service = started;
    } catch (error) {
      exit(error instanceof Error ? error : new Error(String(error)));
    }
  };

  const node: SimNode = {
    name,
    identity,
    host,
    device,
    get process() {
      return process;
    },
    get service() {
      return service;
    },
    boot() {
      if (process !== undefined || isRetired) return;
      lives += 1;
      host.isPowered = true;
      const mine = createSimProcess(engine, {
        name: `${name}#${lives}`,
        random: random.stream(`life ${lives}`),
        wallStartMs: world.wallStartMs,
        clockRate,
      });
      process = mine;
      mine.arrive("input", 0, () => {
        run(mine).catch(() => undefined);
      });
    },
    kill() {
      if (process !== undefined) end(process);
    },
    retire() {
      isRetired = true;
      node.kill();
    },
    reinstate() {
      isRetired = false;
    },
    losePower() {
      boots += 1;
      if (process !== undefined) {
        process.kill();
        world.onEnd(process.name);
      }
      process = undefined;
      service = undefined;
      network.losePower(host);
      device.losePower();
    },
    async shutDown() {
      const [mine, running] = [process, service];
      if (mine === undefined) return;
      await running?.stop();
      end(mine);
    },
  };
  return node;
}
