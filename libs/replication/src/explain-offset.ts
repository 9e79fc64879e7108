import type { BrokerId, Offset } from "@tidemark/ids";
import type { LeaderHint } from "./outputs.ts";
import type { PartitionView, ReplicaView } from "./view.ts";

/** Why an offset is, or is not, committed. */
export type OffsetExplanation =
  | { readonly kind: "committed"; readonly highWatermark: Offset }
  /** Removed by retention, deleteRecords or compaction of the log start. */
  | { readonly kind: "belowLogStart"; readonly logStart: Offset }
  | { readonly kind: "notWritten"; readonly logEnd: Offset }
  /** Asked of a replica that does not lead: only the leader knows. */
  | { readonly kind: "notLeader"; readonly hint: LeaderHint }
  | {
      readonly kind: "waiting";
      readonly highWatermark: Offset;
      readonly logEnd: Offset;
      readonly isr: readonly BrokerId[];
      readonly minIsr: number;
      /** The ISR is below min ISR, so nothing is committed whatever the members have (R4). */
      readonly belowMinIsr: boolean;
      /** The high watermark has not reached the start of this leader epoch yet (R14). */
      readonly unsettled: boolean;
      /** The members that have not flushed the offset, the furthest behind first. */
      readonly waitingFor: readonly MissingMember[];
    };

/** A member of the maximal ISR that the high watermark waits for. */
export interface MissingMember {
  readonly replica: BrokerId;
  /** Undefined: it has not fetched in this leader epoch. */
  readonly flushed: Offset | undefined;
  readonly lagMs: number;
  /** False: it is about to join, or was proposed and the controller's word is out (R6). */
  readonly inIsr: boolean;
}

/** Why is `offset` not committed? A pure function of what the partition knows. */
export function explainOffset(view: PartitionView, offset: Offset): OffsetExplanation {
  const { leadership, state, highWatermark, logEnd, logStart } = view;
  if (leadership === undefined || state === undefined) return { kind: "notLeader", hint: view.hint };
  if (offset < logStart) return { kind: "belowLogStart", logStart };
  if (offset < highWatermark) return { kind: "committed", highWatermark };
  if (offset >= logEnd) return { kind: "notWritten", logEnd };
  return {
    kind: "waiting",
    highWatermark,
    logEnd,
    isr: state.isr,
    minIsr: state.minIsr,
    belowMinIsr: state.isr.length < state.minIsr,
    unsettled: !leadership.settled,
    waitingFor: leadership.replicas
      .filter((replica) => leadership.maximalIsr.includes(replica.replica) && !has(replica, offset))
      .sort((left, right) => compare(left.flushed ?? -1n, right.flushed ?? -1n))
      .map(({ replica, flushed, lagMs, inIsr }) => ({ replica, flushed, lagMs, inIsr })),
  };
}

function has(replica: ReplicaView, offset: Offset): boolean {
  return replica.flushed !== undefined && replica.flushed > offset;
}

function compare(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
