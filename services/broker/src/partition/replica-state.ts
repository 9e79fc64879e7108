import type { BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import type { Log, LogError, ReplicaId } from "@tidemark/log";
import type {
  AlterPartition,
  Confirmation,
  PartitionInput,
  Partition as PartitionMachine,
  PartitionState,
  ProducerTable,
  RequestId,
  TraceEvent,
} from "@tidemark/replication";
import type { TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import type { BrokerExperiment } from "../experiment.ts";
import type { FlushedFetch, ReplicaFetcher, ReplicaReply, ReplicaTrace } from "../replication/replica-exchange.ts";
import type { CheckedBatches, LatestOutcome, ProduceOutcome, ReadOutcome } from "./partition.ts";
import type { HintedLeader } from "./refusal-error.ts";
import type { Flushed, Timeline, Written } from "./timeline.ts";
import type { TopicLogSettings } from "./topic-log-settings.ts";
import type { Agreement } from "./truncation.ts";
import type { Writes } from "./writes.ts";

/** Which partition it is. */
export interface PartitionPlace {
  readonly topic: string;
  readonly topicId: TopicId;
  readonly index: PartitionIndex;
}

/** The ways out of a partition: to its leader, and to the controller. Nothing here throws. */
export interface PartitionLinks {
  readonly fetcher: ReplicaFetcher;
  /** The answer comes back as `proposalAnswered`, once. */
  alterPartition(replica: ReplicaId, request: AlterPartition, answered: (input: PartitionInput) => void): void;
  /** The answer, if one comes, is `leadershipConfirmed`. */
  confirmLeader(
    replica: ReplicaId,
    question: { readonly confirmation: Confirmation; readonly leaderEpoch: LeaderEpoch },
    answered: (input: PartitionInput) => void,
  ): void;
}

/** What all partitions of a broker share. */
export interface PartitionShared {
  readonly self: BrokerId;
  readonly clock: Clock;
  readonly links: PartitionLinks;
  readonly requests: { next(): RequestId };
  /** Whether the receipt of an unclean election waits for what this replica cuts (D3). */
  readonly isReceiptOpen: (replica: ReplicaId) => boolean;
  /** Where clients reach a broker. Undefined: not known. */
  readonly leaderOf: (broker: BrokerId) => HintedLeader | undefined;
  readonly onTrace: (replica: ReplicaState, event: TraceEvent) => void;
  /** What a recorded fetch brought is flushed. Returns the W3C trace context of its span; undefined where there is none. */
  readonly onFetched: (place: PartitionPlace, fetched: FetchedBatches, flushed: Flushed) => string | undefined;
  /** The replica is served here no longer: what was under way of it ends. */
  readonly onLeft: (place: PartitionPlace) => void;
  readonly onStep: BrokerExperiment["onStep"];
  /** A replica is to be told the time then, on the monotonic clock, and not only at its next turn. */
  readonly onDue: (atMs: number) => void;
  /** The disk was full before a cut: the log is sound, and the machine has to begin anew from it. */
  readonly onStuck: (replica: ReplicaId) => void;
  /** What its machine knows can be relied upon no longer: the replica is out of service. */
  readonly onBroken: (replica: ReplicaId, error: unknown) => void;
}

/** Who waits for an answer of the machine. */
export type Waiting =
  | {
      readonly kind: "produce";
      readonly batches: CheckedBatches;
      readonly settle: (outcome: ProduceOutcome) => void;
      baseOffset: Offset | undefined;
    }
  | { readonly kind: "read"; readonly offset: Offset; readonly settle: (outcome: ReadOutcome) => void }
  | { readonly kind: "latest"; readonly settle: (outcome: LatestOutcome) => void }
  | {
      readonly kind: "replica";
      /** Of the fetch. */
      readonly leaderEpoch: LeaderEpoch;
      readonly reply: (reply: ReplicaReply) => void;
    };

/** A batch that is recorded, until all that its spans tell has happened. */
export interface WatchedBatch {
  readonly upTo: Offset;
  readonly timeline: Timeline;
  /** When the wait for it ended: from then on its followers alone are watched. Undefined: somebody waits. */
  settledMs: number | undefined;
}

/** An answer of a leader with batches that are recorded, until all of it is flushed here. */
export interface FetchedBatches {
  readonly from: Offset;
  readonly upTo: Offset;
  readonly leader: BrokerId;
  readonly bytes: number;
  readonly receivedMs: number;
  written: Written | undefined;
  /** Of the batches that came whole. */
  readonly traces: readonly ReplicaTrace[];
}

/** The batches of a leader's response. They count against what it may send until `release` is called, once. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly release: () => void;
  /** Batches among them that are recorded. Absent: none. */
  readonly traces?: readonly ReplicaTrace[] | undefined;
}

/** A replica whose records are not written yet: a follower gets its reply when they can be read. */
export interface HeldReply {
  readonly from: Offset;
  readonly send: () => void;
}

/**
 * One replica on this broker: its machine, its log, and who waits. State and functions apart, since a broker holds
 * thousands of them.
 */
export interface ReplicaState {
  readonly shared: PartitionShared;
  readonly place: PartitionPlace;
  readonly id: ReplicaId;
  readonly log: Log;
  readonly machine: PartitionMachine;
  readonly writes: Writes;
  /** The idempotent producers of the log. */
  readonly producers: ProducerTable;
  readonly waiting: Map<RequestId, Waiting>;
  /** Inputs that came while another one was being handled, a response with its bytes. */
  readonly inbox: { readonly input: PartitionInput; readonly received: Received | undefined }[];
  settings: TopicLogSettings;
  /** The newest metadata that the machine was given. */
  metadata: PartitionState | undefined;
  /** Requests of clients among those that wait. */
  clients: number;
  /** A change of the ISR is proposed and not settled. */
  isProposing: boolean;
  /** When it was told the time last. */
  tickedMs: number;
  isStepping: boolean;
  /** Neither steps nor writes any more. */
  isOver: boolean;
  /** Why it is over, where this broker gave it up. */
  leftFor: TidemarkError | undefined;
  /** Why the log took nothing of an append, while its refusal is being told. */
  refusedBy: LogError | undefined;
  /** Undefined: in no leader epoch yet. */
  agreement: Agreement | undefined;
  /** When each follower fetched from it last, or reported. Undefined: none did. */
  heardMs: Map<BrokerId, number> | undefined;
  watched: WatchedBatch[];
  /** What was fetched of a leader and is recorded, until it is flushed. */
  fetched: FetchedBatches[];
  /** The recorded fetches that are flushed, until the leader is told. */
  fetchedIn: readonly FlushedFetch[];
  held: HeldReply[];
  /** What leaders sent and the log has not written yet, in the order of the offsets. */
  unwritten: { readonly upTo: Offset; readonly release: () => void }[];
}
