export type {
  AlterPartition,
  AlterPartitionAnswer,
  Confirmation,
  ProposalAttempt,
} from "./controller-messages.ts";
export { explainOffset, type MissingMember, type OffsetExplanation } from "./explain-offset.ts";
export { formatTrace } from "./format-trace.ts";
export { allGuards, type ReplicationGuards } from "./guards.ts";
export type {
  ConsumerFetchInput,
  LatestOffsetInput,
  MetadataInput,
  PartitionInput,
  ProduceInput,
} from "./inputs.ts";
export { checkProgress, checkReplica, checkState, checkSuccession } from "./invariants.ts";
export type { OpenProposal } from "./isr-proposals.ts";
export type { EpochStart } from "./leader-epochs.ts";
export type {
  Acks,
  Answer,
  LeaderHint,
  Outcome,
  PartitionOutput,
  PersistEffect,
  Refusal,
  RefusalReason,
  RequestId,
  SendEffect,
} from "./outputs.ts";
export {
  createFetchSessions,
  createPartition,
  type Partition,
  type PartitionOptions,
  type SeenBeyond,
} from "./partition.ts";
export { type IsrProposal, type PartitionState, type ProposedMember, sameMembers } from "./partition-state.ts";
export type { ProducerBatch, ProducerStamp } from "./producers/producer-batch.ts";
export {
  createProducerTable,
  defaultProducerSettings,
  type ProducerLookup,
  type ProducerSettings,
  type ProducerTable,
  type ProducerVerdict,
  type SequenceRefusal,
} from "./producers/producer-table.ts";
export type { Divergence, FlushGeneration, LogSnapshot } from "./replica-log.ts";
export type {
  BatchRange,
  FetchSession,
  FetchSessions,
  ReplicaFetch,
  ReplicaFlushed,
  ReplicaPosition,
  ReplicaRefusal,
  ReplicaResponse,
  StandingFetch,
} from "./replica-messages.ts";
export { defaultSettings, type ReplicationSettings } from "./settings.ts";
export type { TraceEvent } from "./trace.ts";
export type { LeadershipView, PartitionView, ReplicaView } from "./view.ts";
