/** What the parts of one run share. */

import type { Ledger } from "../checks/ledger.ts";
import type { Guards } from "../guards.ts";
import type { NodeId } from "../ids.ts";
import type { DiskImage } from "./disk.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Network } from "./network.ts";
import type { SimulatedNode } from "./node.ts";
import type { FaultKind, Moment, Plan } from "./plan.ts";
import type { Draw } from "./random.ts";

export interface World {
  readonly queue: EventQueue;
  readonly draw: Draw;
  readonly plan: Plan;
  readonly guards: Partial<Guards>;
  readonly checksSends: boolean;
  readonly ledger: Ledger;
  readonly network: Network;
  /** By slot: a place with a port, in which one disk after another may live. */
  readonly nodes: SimulatedNode[];
  /** Adds to the trace. */
  trace(code: number, left: number, right: number, line: () => string): void;
  readonly counts: Counts;
  /** A name that was never given to a disk before. */
  freshId(slot: number): NodeId;
  /** Where a disk of this id lives, or lived last. */
  slotOf(id: NodeId): number;
  /** What this disk has flushed; of a lost disk, what it had. */
  durableOf(id: NodeId): DiskImage | undefined;
  /** What a disk had when it was lost. */
  remember(id: NodeId, image: DiskImage): void;
  /** A node has come to such a moment. */
  reaches(node: SimulatedNode, moment: Moment): void;
  /** No more faults: the run is about to end. */
  calm: boolean;
  /** The disk that was lost and not replaced yet in the membership. */
  lost: { readonly lostId: NodeId; readonly newId: NodeId; readonly slot: number } | undefined;
}

/** What happened in a run; a run counts as one only when enough did. */
interface Counts {
  reads: number;
  changes: number;
  snapshots: number;
  readonly faults: Map<FaultKind, number>;
}

export const heartbeatTicks = 2;
export const electionTicksMin = 10;
export const electionTicksMax = 20;
/** Of a node whose clock goes right. */
export const tickMs = 50;
