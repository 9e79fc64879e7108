import type { PartitionView } from "@tidemark/replication";
import type { SimNode } from "../cluster/node.ts";
import { type Cast, castInOrder, electPreferred, isInIsr, killAndAwaitRemoval, leads } from "./cast.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The answers of replica fetches, and what followers say on the same stream. */
export const replicaFetch = "tidemark.replica.v1";
/** A leader's proposals for the ISR, and their answers. */
export const alterPartition = "AlterPartition";
/** What a controller tells of the metadata. */
export const watchMetadata = "WatchMetadata";

/**
 * A stage with its cast, and the words in which chains of faults are told. What waits tells whether that came true, and
 * goes on where it did not: a chain that comes to nothing does no harm.
 */
export interface Play extends Stage, Cast {
  readonly controller: SimNode;
  /** What the machine of a replica knows of the partition. Undefined: none runs. */
  readonly known: (node: SimNode) => PartitionView | undefined;
  /** Log end of a replica, by its machine's book. 0 where none runs. */
  readonly endOf: (node: SimNode) => bigint;
  /** By the metadata. */
  readonly leads: (node: SimNode) => boolean;
  readonly isInIsr: (node: SimNode) => boolean;
  readonly untilLeads: (node: SimNode, limitMs?: number) => Promise<boolean>;
  readonly untilInIsr: (node: SimNode, limitMs: number) => Promise<boolean>;
  readonly untilOutOfIsr: (node: SimNode) => Promise<boolean>;
  readonly untilFollows: (node: SimNode) => Promise<boolean>;
  /** Everything in its log is flushed. */
  readonly untilFlushed: (node: SimNode) => Promise<boolean>;
  /** It has everything that the leader has. */
  readonly untilHasAll: (node: SimNode) => Promise<boolean>;
  /** The followers' logs end where the leader's does, and all know that everything in them is committed. */
  readonly untilRest: () => Promise<boolean>;
  /** More is committed than when it was called. `begin`: what is done for it. */
  readonly untilMoreIsCommitted: (limitMs: number, begin?: () => void) => Promise<boolean>;
  /** kill -9, and a start at once. */
  readonly restart: (node: SimNode) => void;
  /** kill -9, and the ISR goes on without it. */
  readonly killAndForget: (node: SimNode) => Promise<boolean>;
  /** The leader's process ends, and another replica leads soon. */
  readonly fallTo: (next: SimNode) => Promise<boolean>;
  /** The leader's log grows, and these followers get nothing of that. Returns what mends the way to them. */
  readonly leaveBehind: (...behind: readonly SimNode[]) => Promise<() => void>;
  /** What is written next reaches all but this follower, and is committed when that leaves the ISR. Then nothing is written. */
  readonly commitWithout: (node: SimNode) => Promise<boolean>;
  /**
   * For so long, in milliseconds, a replica gets nothing of the leader, and the controller does not hear what the leader
   * thinks of it: what the replica lacks shows.
   */
  readonly leaveAlone: (node: SimNode, ms: number) => void;
  /** For so long, in milliseconds, a broker hears nothing new of the metadata. */
  readonly keepNewsFrom: (node: SimNode, ms: number) => void;
  /** Somebody reads the topic from its beginning, until what is returned is called. */
  readonly readEverything: () => () => void;
  /** Gives the leadership to the first replica. */
  readonly leadAgain: (limitMs: number) => Promise<boolean>;
}

/** A scenario with its cast in order. Where nobody is ready, nothing is done. */
export function play(act: (on: Play) => Promise<void>): Scenario {
  return async (stage) => {
    const cast = await castInOrder(stage);
    const [controller] = stage.controllers;
    if (cast !== undefined && controller !== undefined) await act(createPlay(stage, cast, controller));
  };
}

function createPlay(stage: Stage, cast: Cast, controller: SimNode): Play {
  const { until, timers } = stage;
  const { partition, leader, first, second } = cast;
  const known = (node: SimNode) => stage.view(node, partition);
  const endOf = (node: SimNode) => known(node)?.logEnd ?? 0n;
  const isIn = (node: SimNode) => isInIsr(stage, partition, node);
  const untilLeads = (node: SimNode, limitMs = timers.sessionMs + 2000) =>
    until(() => leads(stage, partition, node), limitMs);
  const untilOutOfIsr = (node: SimNode) => until(() => !isIn(node), Math.max(timers.sessionMs, timers.lagMs) + 2000);
  const untilRest = () =>
    until(() => {
      const end = known(leader)?.logEnd;
      return end !== undefined && [first, second].every((node) => known(node)?.highWatermark === end);
    }, 3000);
  return {
    ...stage,
    ...cast,
    controller,
    known,
    endOf,
    leads: (node) => leads(stage, partition, node),
    isInIsr: isIn,
    untilLeads,
    untilInIsr: (node, limitMs) => until(() => isIn(node), limitMs),
    untilOutOfIsr,
    untilFollows: (node) => until(() => known(node)?.role === "follower", 3000),
    untilFlushed: (node) => until(() => known(node)?.flushed === endOf(node), 2000),
    untilHasAll: (node) => until(() => endOf(node) === endOf(leader), 500),
    untilRest,
    untilMoreIsCommitted(limitMs, begin = () => undefined) {
      const before = stage.committed(partition);
      begin();
      return until(() => stage.committed(partition) > before, limitMs);
    },
    restart(node) {
      node.kill();
      node.boot();
    },
    killAndForget: (node) => killAndAwaitRemoval(stage, cast, node),
    fallTo(next) {
      leader.kill();
      return untilLeads(next);
    },
    async leaveBehind(...behind) {
      const mend = stage.cut(leader, behind);
      const ends = behind.map(endOf);
      await until(() => ends.every((end) => endOf(leader) > end), 500);
      return mend;
    },
    async commitWithout(node) {
      const open = stage.quiet();
      await untilRest();
      stage.cut(node, [leader]);
      open();
      await stage.sleep(100);
      stage.quiet();
      return untilOutOfIsr(node);
    },
    leaveAlone(node, ms) {
      stage.hold(leader, node, replicaFetch, ms);
      stage.hold(leader, controller, alterPartition, ms);
    },
    keepNewsFrom(node, ms) {
      stage.hold(controller, node, watchMetadata, ms);
    },
    readEverything() {
      const over = new AbortController();
      const whole = stage.operator.createConsumer({ topic: stage.topic, untilEnd: true });
      const read = async () => {
        for await (const batch of whole.batches(over.signal)) if (batch.records.length < 0) break;
      };
      read().catch(() => undefined);
      return () => over.abort();
    },
    async leadAgain(limitMs) {
      await electPreferred(stage);
      return untilLeads(leader, limitMs);
    },
  };
}
