import type { DirectoryId, LeaderEpoch, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import type { BatchHeader } from "@tidemark/record";
import type { Acks, PartitionView } from "@tidemark/replication";
import type { TidemarkError } from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import type { Timeline } from "./timeline.ts";
import type { TopicLogSettings } from "./topic-log-settings.ts";

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
  readonly acks: Acks;
  /** On the monotonic clock: after it the produce is answered as unknown, at the next tick. */
  readonly deadlineMs: number;
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

/** A consumer's read. What is undefined is not checked. */
export interface ReadRequest {
  readonly offset: Offset;
  /** The last leader epoch that the consumer saw (R1). */
  readonly seenLeaderEpoch: LeaderEpoch | undefined;
  /** Leader epoch of the last record that it read below `offset` (KIP-320). */
  readonly lastReadEpoch: LeaderEpoch | undefined;
  /** On the monotonic clock: until then the read waits for data. Not later than now: it does not wait. */
  readonly deadlineMs: number;
}

export type ReadOutcome =
  /** Whole batches in [from, upTo) may be handed out; nothing where they are equal. */
  | {
      readonly kind: "readable";
      readonly from: Offset;
      readonly upTo: Offset;
      readonly highWatermark: Offset;
      readonly logStart: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  | { readonly kind: "failed"; readonly error: TidemarkError };

export interface LatestRequest {
  readonly seenLeaderEpoch: LeaderEpoch | undefined;
  /** Answered only after the controller confirmed that this broker leads (P9). */
  readonly linearizable: boolean;
  readonly deadlineMs: number;
}

export type LatestOutcome =
  | { readonly kind: "latest"; readonly offset: Offset; readonly leaderEpoch: LeaderEpoch }
  | { readonly kind: "failed"; readonly error: TidemarkError };

/**
 * One partition of which this broker has a replica, as the data service sees it. Whether it leads, and who stands behind
 * it, is decided below: whoever asks a replica that does not lead gets NOT_LEADER. Nothing here throws.
 */
export interface Partition {
  readonly topic: string;
  readonly topicId: TopicId;
  readonly index: PartitionIndex;
  readonly settings: TopicLogSettings;
  readonly log: Log;
  /** The log directory that holds it. */
  readonly directoryId: DirectoryId;
  /** First offset that is not known to be committed. */
  readonly highWatermark: Offset;
  /** Of the newest metadata. */
  readonly leaderEpoch: LeaderEpoch;
  readonly isLed: boolean;
  /** Appends and settles: during the call where the outcome is known at once. */
  produce(request: ProduceRequest): PendingProduce;
  /** Settles once: with what can be read now, or when there is something, or at the deadline, or why not. */
  read(request: ReadRequest, settle: (outcome: ReadOutcome) => void): Cancel;
  /** The high watermark, where it is known to tell what exists (R14). */
  latest(request: LatestRequest, settle: (outcome: LatestOutcome) => void): Cancel;
  view(): PartitionView;
}
