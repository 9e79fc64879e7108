import type { BrokerId, Offset } from "@tidemark/ids";

/** When one follower was first sent a batch, and when it was seen to have flushed it. */
export interface ReplicaTimes {
  readonly sentMs: number;
  flushedMs: number | undefined;
}

/**
 * When the steps of one sampled append happened, on the monotonic clock in milliseconds. Filled in on the way and only
 * made where somebody records it.
 */
export interface Timeline {
  appendedMs: number;
  writtenMs: number | undefined;
  flushedMs: number | undefined;
  readonly replicas: Map<BrokerId, ReplicaTimes>;
  /** The step of the high watermark that passed the batch. */
  highWatermark:
    | {
        readonly atMs: number;
        readonly from: Offset;
        readonly to: Offset;
        /** The member whose report came last. */
        readonly last: BrokerId;
        readonly maximalIsr: readonly BrokerId[];
      }
    | undefined;
}

/** A timeline of a batch that is handed over now. */
export function createTimeline(nowMs: number): Timeline {
  return {
    appendedMs: nowMs,
    writtenMs: undefined,
    flushedMs: undefined,
    replicas: new Map(),
    highWatermark: undefined,
  };
}
