import type { Client } from "@tidemark/client";
import { findPartition, findTopic, listPartitions, type Partition } from "@tidemark/metadata";
import type { PartitionView } from "@tidemark/replication";
import { pick, type Random } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import { directoryOf } from "../quorum/format-quorum.ts";
import type { FaultWorld } from "./fault-kinds.ts";

/** What a scenario does things with. All that it cuts, holds back or shuts is mended when it ends. */
export interface Stage extends Harm {
  readonly random: Random;
  /** Longest silence that a session survives, and a follower's lag, in milliseconds. */
  readonly timers: { readonly sessionMs: number; readonly lagMs: number };
  readonly sleep: (ms: number) => Promise<void>;
  /** Waits for a condition, for so long at most. Whether it came true. */
  readonly until: (condition: () => boolean, limitMs: number) => Promise<boolean>;
  /** Partitions of a topic, as the metadata show them now. Absent: of the topic of the workload. */
  readonly partitions: (topic?: string) => readonly Partition[];
  /** A partition that has a leader and every replica in its ISR. Undefined where there is none now. */
  readonly healthyPartition: () => Partition | undefined;
  /** The partition as the metadata show it now. */
  readonly latest: (partition: Partition) => Partition;
  readonly broker: (id: number) => SimNode;
  readonly brokers: readonly SimNode[];
  readonly controllers: readonly SimNode[];
  /** Members of etcd; none on another backend. */
  readonly etcds: readonly SimNode[];
  /** The controller that is active by the metadata. Undefined: none is, or it was lost. */
  readonly activeController: () => SimNode | undefined;
  /** The controller that leads the controllers' own quorum. Undefined: none does, or there is none. */
  readonly quorumLeader: () => SimNode | undefined;
  /** The topic of the workload. */
  readonly topic: string;
  /** What the machine of a replica knows. Undefined: none runs there. */
  readonly view: (node: SimNode, partition: Partition) => PartitionView | undefined;
  /** First offset behind all that any leader called committed. */
  readonly committed: (partition: Partition) => bigint;
  /** A client that no fault reaches. */
  readonly operator: Client;
  /** Tells in the history of the run how far the scenario has come. */
  readonly note: (text: string) => void;
}

/** What can be done to the network, to disks and to the workload, beside what a node has itself. */
interface Harm {
  /** Cuts everything from one node to another. Returns what mends it. */
  readonly cutOneWay: (from: SimNode, to: SimNode) => () => void;
  /** Cuts both ways between one node and others. Returns what mends it. */
  readonly cut: (node: SimNode, others: readonly SimNode[]) => () => void;
  /** Everything from one node to another takes so long, in milliseconds. Returns what mends it. */
  readonly slow: (from: SimNode, to: SimNode, ms: number) => () => void;
  /** As `holdCalls` of the links. */
  readonly hold: (from: SimNode, to: SimNode, call: string, ms: number) => () => void;
  /** Flushes of this node's disk wait for so long, in milliseconds. */
  readonly stall: (node: SimNode, ms: number) => void;
  /** Nothing on this node's disk is given back. Returns what mends that, and starts the node anew. */
  readonly giveNothingBack: (node: SimNode) => () => void;
  /** Clients and gateways do not reach this node until what is returned is called. */
  readonly hide: (node: SimNode) => () => void;
  /** The producers of the workload send nothing new until what is returned is called. */
  readonly quiet: () => () => void;
}

/** The faults have ended while a scenario was under way: it does nothing more. */
export class StageOver extends Error {}

/** How often a condition is looked at, in milliseconds. */
const lookMs = 1;

type Undo = (mend: () => void) => void;

export function createStage(
  world: FaultWorld,
  { undo, isOver, note }: Pick<Stage, "note"> & { readonly undo: Undo; readonly isOver: () => boolean },
): Stage {
  const { engine, cluster, random, image, timers, replicas } = world;
  const sleep = (ms: number) => {
    const slept = new Promise<void>((resolve, reject) => {
      engine.after(ms, () => {
        if (isOver()) reject(new StageOver());
        else resolve();
      });
    });
    // A scenario may begin to wait and do something else before it asks: that one ends by what it asks then.
    slept.catch(() => undefined);
    return slept;
  };
  const partitions = (topic = world.topic): readonly Partition[] => {
    const found = findTopic(image(), topic);
    return found === undefined ? [] : listPartitions(image(), found.topicId);
  };
  const broker = (id: number): SimNode => {
    const node = cluster.brokers[id - 1];
    if (node === undefined) throw new Error(`There is no broker ${id}`);
    return node;
  };
  return {
    ...createHarm(world, undo),
    random,
    timers,
    sleep,
    async until(condition, limitMs) {
      const [startMs, endMs] = [engine.nowMs, engine.nowMs + limitMs];
      while (!condition()) {
        if (engine.nowMs >= endMs) {
          note(`waited for ${limitMs} ms in vain`);
          return false;
        }
        await sleep(lookMs);
      }
      note(`waited for ${(engine.nowMs - startMs).toFixed(0)} ms`);
      return true;
    },
    partitions,
    healthyPartition: () =>
      pick(
        random,
        partitions().filter(
          ({ leader, isr, replicas: assigned }) =>
            leader !== undefined &&
            isr.length === assigned.length &&
            isr.every((id) => broker(id).process?.isPaused === false),
        ),
      ),
    latest: (partition) => findPartition(image(), partition.topicId, partition.partition) ?? partition,
    broker,
    brokers: cluster.brokers,
    controllers: cluster.controllers,
    etcds: cluster.etcds,
    activeController() {
      const id = image().controller?.controllerId;
      return cluster.controllers.find(({ identity }) => identity.id === id);
    },
    quorumLeader() {
      const leader = world.quorum?.watch.leader();
      return leader && cluster.controllers.find((node) => directoryOf(node) === leader);
    },
    view: ({ process }, partition) => (process === undefined ? undefined : replicas.viewOf(process.name, partition)),
    committed: (partition) => replicas.committed(partition),
    operator: world.operator,
    note,
    topic: world.topic,
  };
}

function createHarm({ engine, cluster, gate, clientHosts }: FaultWorld, undo: Undo): Harm {
  const { links } = cluster.network;
  const undone = (mend: () => void) => {
    undo(mend);
    return mend;
  };
  const cutOneWay = (from: SimNode, to: SimNode) => undone(links.cut(from.host.name, to.host.name));
  return {
    cutOneWay,
    cut(node, others) {
      const mends = others.flatMap((other) => [cutOneWay(node, other), cutOneWay(other, node)]);
      return () => {
        for (const mend of mends) mend();
      };
    },
    slow: (from, to, ms) => undone(links.slow(from.host.name, to.host.name, { delayMs: ms, jitterMs: 0 })),
    hold: (from, to, call, ms) => undone(links.holdCalls(from.host.name, to.host.name, { call, ms })),
    stall(node, ms) {
      node.device.faults.stalledUntilMs = engine.nowMs + ms;
    },
    giveNothingBack(node) {
      const { faults } = node.device;
      faults.failing = { directory: "/data", code: "IO", refuses: (kind) => kind === "read" };
      return undone(() => {
        faults.failing = undefined;
        node.kill();
        node.boot();
      });
    },
    hide({ host }) {
      const others = [...clientHosts, ...cluster.gateways.map((gateway) => gateway.host.name)];
      const mends = others.flatMap((other) => [links.cut(other, host.name), links.cut(host.name, other)]);
      return undone(() => {
        for (const mend of mends) mend();
      });
    },
    quiet() {
      gate.isOpen = false;
      return undone(() => {
        gate.isOpen = true;
      });
    },
  };
}
