import type { Client } from "@tidemark/client";
import { listPartitions, listTopics, type MetadataImage } from "@tidemark/metadata";
import { below, pick, type Random } from "@tidemark/runtime";
import type { ReplicaWatch } from "../checks/replica-watch.ts";
import type { SimCluster } from "../cluster/cluster.ts";
import type { SimNode } from "../cluster/node.ts";
import type { Engine } from "../engine/engine.ts";
import type { QuorumKeeper } from "../quorum/quorum-keeper.ts";
import type { QuorumWatch } from "../quorum/quorum-watch.ts";
import type { WorkloadGate } from "../workload/producer-task.ts";
import { directoryFaultKinds } from "./directory-faults.ts";
import { quorumFaultKinds } from "./quorum-faults.ts";

/** What a fault can be done to, and by what chance. */
export interface FaultWorld {
  readonly engine: Engine;
  readonly cluster: SimCluster;
  readonly random: Random;
  readonly image: () => MetadataImage;
  /** Hosts of the clients, which faults of the network reach too. */
  readonly clientHosts: readonly string[];
  /** The topic of the workload. */
  readonly topic: string;
  /** Shut: the producers of the workload send nothing new. */
  readonly gate: WorkloadGate;
  /** What the machines of the replicas know, which nobody in the cluster can look up. */
  readonly replicas: Pick<ReplicaWatch, "viewOf" | "committed">;
  /** Of a client on a machine that no fault reaches. */
  readonly operator: Client;
  /** The controllers' own quorum and its operator. Undefined: they have none. */
  readonly quorum: { readonly watch: QuorumWatch; readonly keeper: QuorumKeeper } | undefined;
  /** Longest silence that a session survives, and a follower's lag, in milliseconds. */
  readonly timers: { readonly sessionMs: number; readonly lagMs: number };
}

/** Begins a fault. Returns what ends it, when that is not by itself; undefined where there was nothing to do it to. */
type BeginFault = (world: FaultWorld) => FaultEnd | undefined;

export interface FaultEnd {
  /** What was done, for the history of the run. */
  readonly text: string;
  /** How long the fault lasts, in milliseconds. */
  readonly lastsMs: number;
  /** Mends what was done. */
  readonly end: () => void;
}

/** Everything that can go wrong. The name is what a report counts. */
export const faultKinds = {
  killBroker: (world) => crash(world, world.cluster.brokers, "kill"),
  killController: (world) => crash(world, world.cluster.controllers, "kill"),
  killGateway: (world) => crash(world, world.cluster.gateways, "kill"),
  powerCutBroker: (world) => crash(world, world.cluster.brokers, "losePower"),
  powerCutBrokers: (world) => powerCutSeveral(world),
  stalledPowerCut: (world) => powerCutAfterStall(world),
  bitFlip: (world) => flipBit(world),
  loseDisk: (world) => loseDisk(world),
  powerCutController: (world) => crash(world, world.cluster.controllers, "losePower"),
  restartBroker: (world) => stopAndStart(world, world.cluster.brokers),
  restartController: (world) => stopAndStart(world, world.cluster.controllers),
  restartGateway: (world) => stopAndStart(world, world.cluster.gateways),
  pause: (world) => pauseOne(world, world.cluster.nodes),
  isolate: (world) => isolateOne(world, world.cluster.nodes),
  oneWay: (world) => cutOneWay(world),
  split: (world) => split(world),
  slowLink: (world) => slow(world),
  resetConnections: (world) => reset(world),
  diskStall: (world) => stallDisk(world, world.cluster.brokers),
  diskFull: (world) => fillDisk(world, world.cluster.brokers),
  wallClock: (world) => skew(world),
  killEtcd: (world) => crash(world, world.cluster.etcds, "kill"),
  powerCutEtcd: (world) => crash(world, world.cluster.etcds, "losePower"),
  pauseEtcd: (world) => pauseOne(world, world.cluster.etcds),
  isolateEtcd: (world) => isolateOne(world, world.cluster.etcds),
  compactEtcd: (world) => compactEtcd(world),
  fillEtcd: (world) => fillEtcd(world),
  ...directoryFaultKinds,
  ...quorumFaultKinds,
} as const satisfies Readonly<Record<string, BeginFault>>;

export type FaultKind = keyof typeof faultKinds;

const names = Object.keys(faultKinds) as readonly FaultKind[];

/** What befalls etcd: for runs whose metadata are kept there. */
export const etcdFaultKindNames: readonly FaultKind[] = names.filter((name) => name.endsWith("Etcd"));

export const faultKindNames: readonly FaultKind[] = names.filter((name) => !name.endsWith("Etcd"));

/** A length of time between two bounds in milliseconds; short ones are as likely as long ones are, by magnitude. */
export function lengthMs(random: Random, leastMs: number, mostMs: number): number {
  return leastMs * (mostMs / leastMs) ** random.next();
}

function running(nodes: readonly SimNode[]): readonly SimNode[] {
  return nodes.filter(({ process }) => process !== undefined);
}

function crash({ random }: FaultWorld, among: readonly SimNode[], how: "kill" | "losePower"): FaultEnd | undefined {
  const node = pick(random, running(among));
  if (node === undefined) return undefined;
  node[how]();
  return { text: `${how} ${node.name}`, lastsMs: lengthMs(random, 20, 15_000), end: () => node.boot() };
}

/** Several machines, often all, go dark at one moment. */
function powerCutSeveral({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const share = random.next();
  const nodes = running(cluster.brokers).filter(() => random.next() >= share);
  if (nodes.length === 0) return undefined;
  for (const node of nodes) node.losePower();
  const end = () => {
    for (const node of nodes) node.boot();
  };
  const names = nodes.map(({ name }) => name).join(",");
  return { text: `losePower ${names}`, lastsMs: lengthMs(random, 20, 10_000), end };
}

/** Disks of several machines stand still, so that much waits to be flushed, and then the power fails. */
function powerCutAfterStall({ random, cluster, engine }: FaultWorld): FaultEnd | undefined {
  const nodes = running(cluster.brokers).filter(() => random.next() < 0.6);
  if (nodes.length === 0) return undefined;
  const lastsMs = lengthMs(random, 20, 1500);
  for (const { device } of nodes) device.faults.stalledUntilMs = engine.nowMs + lastsMs + 1;
  const backMs = nodes.map(() => lengthMs(random, 20, 4000));
  const end = () => {
    for (const [index, node] of nodes.entries()) {
      if (node.process === undefined) continue;
      node.losePower();
      engine.after(backMs[index] ?? 0, () => node.boot());
    }
  };
  const names = nodes.map(({ name }) => name).join(",");
  return { text: `disks of ${names} stand still, then losePower`, lastsMs, end };
}

/**
 * A broker comes back with an empty disk. What was promised holds while a member of ISR or ELR has its own (P1), so it is
 * done only where every replica of every partition is in sync.
 */
function loseDisk({ random, cluster, image }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, cluster.brokers);
  const partitions = listTopics(image()).flatMap(({ topicId }) => listPartitions(image(), topicId));
  const isSafe = partitions.every(({ isr, replicas }) => replicas.length > 1 && isr.length === replicas.length);
  const isHarmed = cluster.brokers.some(({ device }) => !device.isSound);
  if (node === undefined || !isSafe || isHarmed) return undefined;
  if (cluster.brokers.some(({ process }) => process === undefined)) return undefined;
  node.kill();
  node.device.lose();
  return { text: `lose the disk of ${node.name}`, lastsMs: lengthMs(random, 100, 15_000), end: () => node.boot() };
}

/**
 * A bit changes at rest on one broker, where every replica is in sync and no other broker's disk was harmed: damage of a
 * minority spreads to nobody (P6).
 */
function flipBit({ random, cluster, image }: FaultWorld): FaultEnd | undefined {
  const partitions = listTopics(image()).flatMap(({ topicId }) => listPartitions(image(), topicId));
  const isSafe = partitions.every(({ isr, replicas }) => replicas.length > 2 && isr.length === replicas.length);
  const harmed = cluster.brokers.filter(({ device }) => !device.isSound);
  const node = harmed[0] ?? pick(random, cluster.brokers);
  if (!isSafe || node?.process === undefined || node.device.wasLost || !node.device.damage()) return undefined;
  return { text: `flip a bit on the disk of ${node.name}`, lastsMs: 0, end: () => undefined };
}

function stopAndStart({ random }: FaultWorld, among: readonly SimNode[]): FaultEnd | undefined {
  const node = pick(random, running(among));
  if (node === undefined) return undefined;
  // Where the stop fails, the machine is no better than after a kill.
  node.shutDown().catch(() => node.kill());
  const end = () => {
    node.kill();
    node.boot();
  };
  return { text: `stop ${node.name}`, lastsMs: lengthMs(random, 500, 45_000), end };
}

function pauseOne({ random }: FaultWorld, among: readonly SimNode[]): FaultEnd | undefined {
  const node = pick(random, running(among));
  const process = node?.process;
  if (node === undefined || process === undefined) return undefined;
  process.pause();
  return { text: `pause ${node.name}`, lastsMs: lengthMs(random, 50, 20_000), end: () => process.resume() };
}

function hostsOf({ cluster, clientHosts }: FaultWorld): readonly string[] {
  return [...cluster.nodes.map(({ host }) => host.name), ...clientHosts];
}

function isolateOne(world: FaultWorld, among: readonly SimNode[]): FaultEnd | undefined {
  const node = pick(world.random, among);
  if (node === undefined) return undefined;
  const others = hostsOf(world).filter((name) => name !== node.host.name);
  return cutAll(world, [node.host.name], others, `isolate ${node.name}`);
}

function split(world: FaultWorld): FaultEnd | undefined {
  const { random } = world;
  const hosts = hostsOf(world);
  const left = hosts.filter(() => random.next() < 0.5);
  const right = hosts.filter((name) => !left.includes(name));
  return cutAll(world, left, right, `split ${left.join(",")} from the rest`);
}

function cutOneWay({ random, cluster, ...world }: FaultWorld): FaultEnd | undefined {
  const hosts = hostsOf({ random, cluster, ...world });
  const from = pick(random, hosts);
  const to = pick(
    random,
    hosts.filter((name) => name !== from),
  );
  if (from === undefined || to === undefined) return undefined;
  const end = cluster.network.links.cut(from, to);
  return { text: `cut ${from} to ${to}`, lastsMs: lengthMs(random, 100, 20_000), end };
}

function cutAll(
  { random, cluster }: FaultWorld,
  left: readonly string[],
  right: readonly string[],
  text: string,
): FaultEnd {
  const { links } = cluster.network;
  const mends = left.flatMap((from) => right.flatMap((to) => [links.cut(from, to), links.cut(to, from)]));
  const end = () => {
    for (const mend of mends) mend();
  };
  return { text, lastsMs: lengthMs(random, 100, 20_000), end };
}

function slow({ random, cluster, ...world }: FaultWorld): FaultEnd | undefined {
  const hosts = hostsOf({ random, cluster, ...world });
  const from = pick(random, hosts);
  const to = pick(
    random,
    hosts.filter((name) => name !== from),
  );
  if (from === undefined || to === undefined) return undefined;
  const state = { delayMs: lengthMs(random, 5, 2000), jitterMs: lengthMs(random, 1, 500) };
  const end = cluster.network.links.slow(from, to, state);
  const text = `${from} to ${to} takes ${Math.round(state.delayMs)} ms`;
  return { text, lastsMs: lengthMs(random, 100, 20_000), end };
}

function reset({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, running(cluster.nodes));
  const process = node?.process;
  if (node === undefined || process === undefined) return undefined;
  for (const connection of [...node.host.connections]) {
    if (random.next() < 0.5) process.enter("input", () => connection.fail("reset"));
  }
  return { text: `reset connections of ${node.name}`, lastsMs: 0, end: () => undefined };
}

export function stallDisk({ random, engine }: FaultWorld, among: readonly SimNode[]): FaultEnd | undefined {
  const node = pick(random, among);
  if (node === undefined) return undefined;
  const lastsMs = lengthMs(random, 20, 8000);
  node.device.faults.stalledUntilMs = engine.nowMs + lastsMs;
  return { text: `disk of ${node.name} stands still`, lastsMs, end: () => undefined };
}

export function fillDisk({ random }: FaultWorld, among: readonly SimNode[]): FaultEnd | undefined {
  const node = pick(random, among);
  if (node === undefined) return undefined;
  const { faults, memory } = node.device;
  faults.capacity = memory.usedBytes() + below(random, 4096);
  const end = () => {
    faults.capacity = Number.POSITIVE_INFINITY;
  };
  return { text: `disk of ${node.name} is full`, lastsMs: lengthMs(random, 100, 10_000), end };
}

function skew({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, running(cluster.nodes));
  if (node?.process === undefined) return undefined;
  const byMs = Math.round((random.next() - 0.5) * 2 * 3_600_000);
  node.process.skewWallClock(byMs);
  return { text: `wall clock of ${node.name} jumps by ${byMs} ms`, lastsMs: 0, end: () => undefined };
}

/** Whoever asks for what happened before is told that it is gone. */
function compactEtcd({ cluster }: FaultWorld): FaultEnd | undefined {
  if (cluster.etcds.length === 0 || !cluster.etcd.compact()) return undefined;
  return { text: "compact etcd", lastsMs: 0, end: () => undefined };
}

function fillEtcd({ random, cluster }: FaultWorld): FaultEnd | undefined {
  if (cluster.etcds.length === 0) return undefined;
  cluster.etcd.setFull(true);
  return { text: "etcd has no space", lastsMs: lengthMs(random, 100, 10_000), end: () => cluster.etcd.setFull(false) };
}
