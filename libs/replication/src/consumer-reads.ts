import type { Offset } from "@tidemark/ids";
import { isSettled } from "./high-watermark.ts";
import type { ConsumerFetchInput } from "./inputs.ts";
import type { RefusalReason } from "./outputs.ts";
import { type Divergence, findDivergence, type ReplicaLog } from "./replica-log.ts";

/** What a leader decides about a consumer's fetch. */
export type ReadDecision =
  /** Records of [offset, upTo) are committed and there. */
  | { readonly kind: "read"; readonly upTo: Offset }
  /** Nothing to read yet; what comes next may be it. */
  | { readonly kind: "wait" }
  | { readonly kind: "refuse"; readonly reason: RefusalReason; readonly divergence?: Divergence };

export interface ReadBounds {
  readonly log: ReplicaLog;
  readonly highWatermark: Offset;
  readonly epochStart: Offset;
  /** After an unclean election nothing is read before the leader has recovered (D2). */
  readonly recovering: boolean;
  /** False: an unsettled high watermark is believed. Only tests say so. */
  readonly unsettledWaits: boolean;
}

/**
 * Keeps R3 and R14: nothing at or above the high watermark is read, and an offset is called out of range only by a
 * settled leader, below its log start or above its log end. The leader epochs were compared before.
 */
export function decideRead(
  fetch: Pick<ConsumerFetchInput, "offset" | "lastReadEpoch" | "linearizable">,
  bounds: ReadBounds,
): ReadDecision {
  const { log, highWatermark } = bounds;
  if (bounds.recovering) return { kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" };
  const settled = isSettled(bounds);
  if (fetch.linearizable && !settled) return { kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" };
  if (fetch.lastReadEpoch !== undefined && fetch.offset > log.start) {
    const divergence = findDivergence(log, { offset: fetch.offset, lastEpoch: fetch.lastReadEpoch });
    if (divergence !== undefined) return { kind: "refuse", reason: "LOG_TRUNCATED", divergence };
  }
  if (fetch.offset < log.start || fetch.offset > log.end) {
    return { kind: "refuse", reason: settled ? "OFFSET_OUT_OF_RANGE" : "OFFSET_NOT_AVAILABLE" };
  }
  if (fetch.offset < highWatermark) return { kind: "read", upTo: highWatermark };
  if (!settled && !bounds.unsettledWaits && fetch.offset > highWatermark) {
    return { kind: "refuse", reason: "OFFSET_OUT_OF_RANGE" };
  }
  return { kind: "wait" };
}
