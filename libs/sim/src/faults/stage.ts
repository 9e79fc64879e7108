import { findTopic, listPartitions, type Partition } from "@tidemark/metadata";
import { pick, type Random } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import { directoryOf } from "../quorum/format-quorum.ts";
import type { FaultWorld } from "./fault-kinds.ts";

/** What a scenario does things with. All that it cuts or slows is mended when it ends. */
export interface Stage {
  readonly random: Random;
  /** Longest silence that a session survives, and a follower's lag, in milliseconds. */
  readonly timers: { readonly sessionMs: number; readonly lagMs: number };
  readonly sleep: (ms: number) => Promise<void>;
  /** Waits for a condition, for so long at most. Whether it came true. */
  readonly until: (condition: () => boolean, limitMs: number) => Promise<boolean>;
  /** A partition that has a leader and every replica in its ISR. Undefined where there is none now. */
  readonly healthyPartition: () => Partition | undefined;
  /** The partition as the metadata show it now. */
  readonly latest: (partition: Partition) => Partition;
  readonly broker: (id: number) => SimNode;
  readonly controllers: readonly SimNode[];
  /** The controller that leads the controllers' own quorum. Undefined: none does, or there is none. */
  readonly quorumLeader: () => SimNode | undefined;
  /** Cuts everything from one node to another. Returns what mends it. */
  readonly cutOneWay: (from: SimNode, to: SimNode) => () => void;
  /** Cuts both ways between one node and others. Returns what mends it. */
  readonly cut: (node: SimNode, others: readonly SimNode[]) => () => void;
  /** Flushes of this node's disk wait for so long, in milliseconds. */
  readonly stall: (node: SimNode, ms: number) => void;
}

/** The faults have ended while a scenario was under way: it does nothing more. */
export class StageOver extends Error {}

/** How often a condition is looked at, in milliseconds. */
const lookMs = 5;

export function createStage(
  { engine, cluster, random, image, topic, timers, quorum }: FaultWorld,
  { undo, isOver }: { readonly undo: (mend: () => void) => void; readonly isOver: () => boolean },
): Stage {
  const { links } = cluster.network;
  const sleep = (ms: number) =>
    new Promise<void>((resolve, reject) => {
      engine.after(ms, () => {
        if (isOver()) reject(new StageOver());
        else resolve();
      });
    });
  const partitions = (): readonly Partition[] => {
    const found = findTopic(image(), topic);
    return found === undefined ? [] : listPartitions(image(), found.topicId);
  };
  const broker = (id: number): SimNode => {
    const node = cluster.brokers[id - 1];
    if (node === undefined) throw new Error(`There is no broker ${id}`);
    return node;
  };
  const cutOneWay = (from: SimNode, to: SimNode) => {
    const mend = links.cut(from.host.name, to.host.name);
    undo(mend);
    return mend;
  };
  return {
    random,
    timers,
    sleep,
    async until(condition, limitMs) {
      const endMs = engine.nowMs + limitMs;
      while (!condition()) {
        if (engine.nowMs >= endMs) return false;
        await sleep(lookMs);
      }
      return true;
    },
    healthyPartition: () =>
      pick(
        random,
        partitions().filter(
          ({ leader, isr, replicas }) =>
            leader !== undefined &&
            isr.length === replicas.length &&
            isr.every((id) => broker(id).process?.isPaused === false),
        ),
      ),
    latest: (partition) => partitions().find((each) => each.partition === partition.partition) ?? partition,
    broker,
    controllers: cluster.controllers,
    quorumLeader() {
      const leader = quorum?.watch.leader();
      return leader && cluster.controllers.find((node) => directoryOf(node) === leader);
    },
    cutOneWay,
    cut(node, others) {
      const mends = others.flatMap((other) => [cutOneWay(node, other), cutOneWay(other, node)]);
      return () => {
        for (const mend of mends) mend();
      };
    },
    stall(node, ms) {
      node.device.faults.stalledUntilMs = engine.nowMs + ms;
    },
  };
}
