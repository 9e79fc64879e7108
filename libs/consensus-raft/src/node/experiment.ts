/** What tests and the simulator ask of a node, and no setting of a program can. */
import type { FlushToken, Guards, LogIndex, NodeId, Ready, SnapshotMeta, StartState } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";

export interface NodeExperiment {
  /** Protections that are taken out. Those that are absent stay. */
  readonly guards?: Partial<NodeGuards>;
  /** Called once, before the node does anything; what it returns is told of everything. */
  readonly observe?: (of: ObservedNode) => NodeObserver;
}

/** The protocol's, and those of its driver. */
export interface NodeGuards extends Guards {
  /** The time of a lease is counted by a clock that nobody sets (C4). */
  readonly leaseByMonotonicClock: boolean;
}

/** A node that is about to run. */
export interface ObservedNode {
  readonly id: NodeId;
  readonly start: StartState;
  /** The term that the node may believe at this moment to lead. Undefined: none. */
  readonly believes: () => number | undefined;
}

/** Does not call back. */
export interface NodeObserver {
  /** What is to be done next. */
  onReady(ready: Ready): void;
  /** This write, and all before it, are flushed. */
  onFlushed(token: FlushToken): void;
  /** A snapshot of the node's own is flushed. */
  onSnapshot(meta: SnapshotMeta): void;
  /** Everything up to `index` is applied; `digest` stands for the state that it made. */
  onApplied(index: LogIndex, digest: () => number): void;
  /** The node may believe from now on that it leads `term`. */
  onLeaseBegun(term: number): void;
}

/** The clock that counts the lease. */
export function leaseClock(clock: Clock, guards: Partial<NodeGuards> = {}): Pick<Clock, "monotonicMs"> {
  return guards.leaseByMonotonicClock === false ? { monotonicMs: () => clock.wallMs() } : clock;
}
