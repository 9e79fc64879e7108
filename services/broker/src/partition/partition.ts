import type { LeaderEpoch, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import type { BatchHeader } from "@tidemark/record";
import type { TidemarkError } from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import type { Timeline } from "./timeline.ts";
import type { TopicLogSettings } from "./topic-log-settings.ts";

/** When a produce is answered (R4). */
export type AckLevel = "none" | "leader" | "all";

/** Batches that were checked and stand in bytes of their own, in which they are stamped. */
export interface CheckedBatches {
  readonly bytes: Uint8Array;
  readonly headers: readonly BatchHeader[];
  /** Count of all records. */
  readonly records: number;
}

export type ProduceOutcome =
  | { readonly kind: "acknowledged"; readonly baseOffset: Offset; readonly leaderEpoch: LeaderEpoch }
  | { readonly kind: "failed"; readonly error: TidemarkError };

/** Told once, when the produce is settled. */
export type SettleProduce = (outcome: ProduceOutcome) => void;

export interface ProduceRequest {
  readonly batches: CheckedBatches;
  readonly acks: AckLevel;
  readonly settle: SettleProduce;
  /** Present where the produce is sampled. */
  readonly timeline?: Timeline | undefined;
}

/** A produce that is on its way. */
export interface PendingProduce {
  /** Undefined where nothing was appended. */
  readonly baseOffset: Offset | undefined;
  /** Nobody waits for the answer any more. What was appended stays. */
  abandon(): void;
}

/**
 * One partition that this broker leads, as the data service sees it. How many replicas stand behind it is not to be seen
 * from here.
 */
export interface Partition {
  readonly topic: string;
  readonly topicId: TopicId;
  readonly index: PartitionIndex;
  readonly leaderEpoch: LeaderEpoch;
  readonly settings: TopicLogSettings;
  readonly log: Log;
  /** First offset that is not known to be committed. */
  readonly highWatermark: Offset;
  /** Appends and settles later; never throws. */
  produce(request: ProduceRequest): PendingProduce;
  /** Calls `listener` each time that the high watermark moved, and once more when the partition is left. */
  onHighWatermark(listener: () => void): Cancel;
  /** False once this broker does not lead it any more. */
  readonly isLed: boolean;
}
