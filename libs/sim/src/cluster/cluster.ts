import { type Client, createClient } from "@tidemark/client";
import type { Codecs } from "@tidemark/record";
import type { Transport } from "@tidemark/rpc";
import type { Engine } from "../engine/engine.ts";
import type { RandomTree } from "../engine/random-tree.ts";
import { createSimProcess, type SimProcess } from "../engine/sim-process.ts";
import { createSimEtcd, type SimEtcd, type SimEtcdWorld } from "../etcd/etcd-cluster.ts";
import { etcdPort } from "../etcd/serve-member.ts";
import type { Host } from "../network/host.ts";
import type { LinkState } from "../network/links.ts";
import { createNetwork, type Network } from "../network/network.ts";
import type { NetworkWatch } from "../network/network-watch.ts";
import { createSimNode, type NodeWorld, type ProcessExit, type SimNode } from "./node.ts";
import { metadataDirectory, ports, type Role } from "./roles.ts";

/** How big a cluster is, and how its processes are set. */
export interface ClusterShape {
  /** Where the controllers keep the metadata. More than one controller are for `raft` and `etcd`. */
  readonly backend: "single" | "raft" | "etcd";
  readonly controllers: number;
  /** Members of etcd. 0 on another backend. */
  readonly etcds: number;
  readonly brokers: number;
  readonly gateways: number;
  /** Settings by role, beside those that say who and where a process is. */
  readonly settings: Readonly<Record<Role, Readonly<Record<string, string | number | boolean>>>>;
  readonly link: LinkState;
  /** How much faster or slower than time a machine's clocks run at most: 0.01 is 10 ms a second. */
  readonly clockDriftMax: number;
}

/** A client of the cluster on a machine of its own, with the process that it lives in. */
export interface SimClient {
  readonly name: string;
  readonly host: Host;
  readonly process: SimProcess;
  readonly transport: Transport;
  readonly client: Client;
}

/** A whole cluster in one process. */
export interface SimCluster {
  readonly network: Network;
  readonly nodes: readonly SimNode[];
  readonly brokers: readonly SimNode[];
  readonly controllers: readonly SimNode[];
  readonly gateways: readonly SimNode[];
  /** Members of etcd; none on another backend. */
  readonly etcds: readonly SimNode[];
  readonly etcd: SimEtcd;
  /** A client that begins at this endpoint, host:port. */
  connect(name: string, bootstrap: string): Promise<SimClient>;
  /** Processes that ended by themselves, the latest last. */
  readonly exits: readonly ProcessExit[];
  /** The last lines that the services logged. */
  readonly logs: readonly string[];
}

/** When a supervisor starts a process again that ended by itself, in milliseconds. */
const restartMs = 500;

/** Lines of logs that are kept for the report of a failed run. */
const logLinesMax = 400;

export function createSimCluster(
  engine: Engine,
  random: RandomTree,
  given: ClusterShape &
    Pick<
      NodeWorld,
      "wallStartMs" | "keepSpan" | "experimentOn" | "controllerExperimentOn" | "quorumExperimentOn" | "onEnd"
    > &
    Pick<SimEtcdWorld, "onRevision" | "isUnfenced"> & {
      readonly codecs: Codecs;
      /** Absent: nobody looks on. */
      readonly networkWatch?: NetworkWatch;
      readonly onExit: (exit: ProcessExit) => void;
    },
): SimCluster {
  const network = createNetwork(engine, random.stream("network"), given.link, given.networkWatch);
  const ids = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
  const etcdHosts = ids(given.etcds).map((id) => `etcd-${id}.sim`);
  const { onRevision, isUnfenced } = given;
  const etcd = createSimEtcd({ engine, network, random: random.stream("etcd"), onRevision, isUnfenced }, etcdHosts);
  const exits: ProcessExit[] = [];
  const logs: string[] = [];
  const world = {
    engine,
    random,
    network,
    etcd,
    wallStartMs: given.wallStartMs,
    clockDriftMax: given.clockDriftMax,
    keepSpan: given.keepSpan,
    experimentOn: given.experimentOn,
    controllerExperimentOn: given.controllerExperimentOn,
    quorumExperimentOn: given.quorumExperimentOn,
    onEnd: given.onEnd,
    onLog(node: string, line: string) {
      if (logs.length >= logLinesMax) logs.splice(0, logLinesMax / 2);
      logs.push(`${engine.nowMs.toFixed(1)} ${node} ${line.trimEnd()}`);
    },
    onExit(node: SimNode, ended: Pick<ProcessExit, "error" | "isOfDisk">) {
      const exit = { atMs: engine.nowMs, node: node.name, ...ended };
      exits.push(exit);
      given.onExit(exit);
      engine.after(restartMs, () => node.boot());
    },
  };
  const hostOf = (role: Role | "etcd", id: number) => `${role}-${id}.sim`;
  const controllers = ids(given.controllers).map((id) => `${hostOf("controller", id)}:${ports.controller.internal}`);
  const places = {
    single: metadataDirectory,
    raft: metadataDirectory,
    etcd: `${etcdHosts.map((host) => `${host}:${etcdPort}`).join(",")}/sim`,
  };
  const backend = `${given.backend}://${places[given.backend]}`;
  const nodesOf = (role: Role | "etcd", count: number) =>
    ids(count).map((id) =>
      createSimNode(world, `${role}-${id}`, {
        role,
        id,
        hostName: hostOf(role, id),
        controllers,
        backend,
        settings: role === "etcd" ? {} : given.settings[role],
        codecs: given.codecs,
      }),
    );
  const byRole = {
    controllers: nodesOf("controller", given.controllers),
    brokers: nodesOf("broker", given.brokers),
    gateways: nodesOf("gateway", given.gateways),
    etcds: nodesOf("etcd", given.etcds),
  };
  if (given.backend === "etcd") etcd.begin(byRole.etcds);

  return {
    ...byRole,
    network,
    etcd,
    nodes: [...byRole.etcds, ...byRole.controllers, ...byRole.brokers, ...byRole.gateways],
    exits,
    logs,
    async connect(name, bootstrap) {
      const host = network.addHost(`${name}.sim`);
      const process = createSimProcess(engine, {
        name,
        random: random.branch(name).stream("life 1"),
        wallStartMs: given.wallStartMs,
      });
      const transport = network.transportOf(host, process);
      const { codecs } = given;
      const client = await createClient({
        bootstrap,
        routing: "bootstrap",
        runtime: process.runtime,
        transport,
        codecs,
      });
      return { name, host, process, transport, client };
    },
  };
}
