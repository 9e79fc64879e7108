import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset } from "@tidemark/ids";
import type { AlterPartitionAnswer, Confirmation, ProposalAttempt } from "./controller-messages.ts";
import type { Acks, RequestId } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import type { ProducerStamp } from "./producers/producer-batch.ts";
import type { FlushGeneration } from "./replica-log.ts";
import type { ReplicaFetch, ReplicaFlushed, ReplicaResponse, StandingFetch } from "./replica-messages.ts";
import type { ReplicationSettings } from "./settings.ts";

/** `nowMs` is the monotonic clock in milliseconds wherever it appears; it never falls from input to input. */
export type PartitionInput =
  | MetadataInput
  | ProduceInput
  | ConsumerFetchInput
  | LatestOffsetInput
  /** From a follower, to the leader. `requestId` names the answer; `deadlineMs` is when a fetch without data is answered. */
  | {
      readonly kind: "replicaFetch";
      readonly requestId: RequestId;
      readonly fetch: ReplicaFetch;
      readonly deadlineMs: number;
      readonly nowMs: number;
    }
  /** A follower's fetch stands, and was answered: its stream asks on. Answered as a fetch is, and counts for nothing. */
  | {
      readonly kind: "standingFetch";
      readonly requestId: RequestId;
      readonly fetch: StandingFetch;
      readonly deadlineMs: number;
      readonly nowMs: number;
    }
  /** From a follower, to the leader; has no answer. */
  | { readonly kind: "replicaFlushed"; readonly report: ReplicaFlushed; readonly nowMs: number }
  /** From the leader, to this follower. */
  | { readonly kind: "replicaResponse"; readonly response: ReplicaResponse; readonly nowMs: number }
  /** A flush of the own log ended: all below `offset` that was written before `generation` changed is on disk (L9). */
  | { readonly kind: "flushed"; readonly offset: Offset; readonly generation: FlushGeneration; readonly nowMs: number }
  /**
   * The log took nothing of what was ordered at or above `from`, and ends there again: the disk was full (L6). None of it
   * was written, so no follower has any of it. Not for an append of before a cut.
   */
  | { readonly kind: "appendRefused"; readonly from: Offset; readonly nowMs: number }
  /** Retention, or deleteRecords, moved the log start; files go later. Never above the high watermark (L7). */
  | { readonly kind: "logStartAdvanced"; readonly logStart: Offset }
  /** From the controller. */
  | {
      readonly kind: "proposalAnswered";
      readonly attempt: ProposalAttempt;
      readonly answer: AlterPartitionAnswer;
      readonly nowMs: number;
    }
  /** From the controller, behind its barrier: whether this broker leads `leaderEpoch` (P9). */
  | {
      readonly kind: "leadershipConfirmed";
      readonly confirmation: Confirmation;
      readonly leads: boolean;
      readonly nowMs: number;
    }
  /** The metadata shows a newer registration of a replica: what an older one reported counts no longer (R2). */
  | { readonly kind: "replicaRegistered"; readonly replica: BrokerId; readonly brokerEpoch: BrokerEpoch }
  /** This broker registered anew. Every partition that it led has a new leader epoch then (D8). */
  | { readonly kind: "registered"; readonly brokerEpoch: BrokerEpoch; readonly nowMs: number }
  /** This broker's session ended, or it stops: it leads nothing until newer metadata says so. */
  | { readonly kind: "resign"; readonly reason: string }
  /** The log directory failed (L6). Nothing brings the replica back but a new partition machine. */
  | { readonly kind: "logFailed"; readonly reason: string }
  | { readonly kind: "settingsChanged"; readonly settings: ReplicationSettings }
  /** Whoever waited for it is gone: no answer is made. */
  | { readonly kind: "cancel"; readonly requestId: RequestId }
  /** `controllerHeardMs`: when this broker last heard the active controller. */
  | { readonly kind: "tick"; readonly nowMs: number; readonly controllerHeardMs: number };

/** A committed partition state, pushed by the controller or read from its answer. */
export interface MetadataInput {
  readonly kind: "metadata";
  readonly state: PartitionState;
  readonly controllerEpoch: ControllerEpoch;
  readonly nowMs: number;
}

/** A batch that passed size and checksum; `recordCount` offsets go to it. */
export interface ProduceInput {
  readonly kind: "produce";
  readonly requestId: RequestId;
  readonly acks: Acks;
  readonly recordCount: number;
  /** Of an idempotent producer, with acks=all: what the log holds already is answered as the original would be (R11). */
  readonly producer?: ProducerStamp;
  /** The last leader epoch that the client saw. Undefined: any. */
  readonly seenLeaderEpoch: LeaderEpoch | undefined;
  /** After it acks=all and acks=leader are answered as unknown. */
  readonly deadlineMs: number;
  readonly nowMs: number;
}

export interface ConsumerFetchInput {
  readonly kind: "consumerFetch";
  readonly requestId: RequestId;
  readonly offset: Offset;
  /** The last leader epoch that the client saw: an older leader must not answer it (R1). Undefined: any. */
  readonly seenLeaderEpoch: LeaderEpoch | undefined;
  /** Leader epoch of the last record that the client read below `offset` (KIP-320). Undefined: not checked. */
  readonly lastReadEpoch: LeaderEpoch | undefined;
  /** The answer must hold everything committed before the fetch arrived (P9). */
  readonly linearizable: boolean;
  readonly deadlineMs: number;
  readonly nowMs: number;
}

/** Asks for the high watermark: "latest" of ListOffsets. */
export interface LatestOffsetInput {
  readonly kind: "latestOffset";
  readonly requestId: RequestId;
  readonly seenLeaderEpoch: LeaderEpoch | undefined;
  readonly linearizable: boolean;
  readonly deadlineMs: number;
  readonly nowMs: number;
}
