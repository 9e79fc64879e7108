export {
  alterPartitions,
  type IsrProposal,
  type IsrProposalResult,
  type ProposedMember,
} from "./alter-partition.ts";
export { type Applied, applyChanges, imageToChanges, replaceImage } from "./apply.ts";
export { type BatchLimits, splitIntoBatches } from "./batches.ts";
export { type DomainKey, formatDomainKey, keyOfChange, type MetadataChange, type ValueChange } from "./change.ts";
export { createCluster, formatVersion } from "./cluster.ts";
export { configureTopic, repairMinIsr } from "./configure-topic.ts";
export {
  addPartitions,
  type ClusterLimits,
  type CreateTopicCommand,
  createTopic,
  minIsrInForce,
  type PlacementContext,
  unknownTopic,
} from "./create-topic.ts";
export { type Damage, isNewDamage, type ReplicaId } from "./damage.ts";
export { type Decision, type Draw, decided, type Refusal, refused } from "./decision.ts";
export { confirmDeletions, deleteTopic, sweepOrphans } from "./delete-topic.ts";
export type { Changed, MetadataDelta } from "./delta.ts";
export {
  describeBrokers,
  describeHealth,
  describeReceipt,
  describeReceipts,
  describeTopic,
  describeTopicList,
  describeTopics,
} from "./describe.ts";
export { electPreferred, type PreferredElectionResult, rebalanceLeaders } from "./elect-preferred.ts";
export {
  type AnsweredPosition,
  electUnclean,
  type UncleanElectionCommand,
  type UncleanElectionResult,
} from "./elect-unclean.ts";
export {
  type EndedSession,
  endSessions,
  failDirectories,
  repairPartitions,
  reportDamage,
  reportRegressed,
} from "./end-sessions.ts";
export {
  type ElectionCause,
  type ElectionEvent,
  type ElectionRule,
  electionCauses,
  type IsrEvent,
  type MetadataEvent,
  type ReceiptEvent,
  type SessionEndCause,
} from "./events.ts";
export { allElectionGuards, type ElectionGuards } from "./guards.ts";
export {
  eachPartition,
  emptyImage,
  findPartition,
  findReceipt,
  findTopic,
  findTopicById,
  listPartitions,
  listTopics,
  type MetadataImage,
  receiptId,
  type TopicEntry,
} from "./image.ts";
export { formatKey, type MetadataKey, parseKey } from "./keys.ts";
export { type Liveness, livenessOf } from "./liveness.ts";
export type {
  ActiveController,
  BrokerSession,
  BrokerState,
  Cluster,
  DeletedTopic,
  Endpoint,
  KnownBroker,
  Partition,
  ProducerIds,
  Receipt,
  Replica,
  ReplicaCut,
  ReplicaPosition,
  Topic,
} from "./model.ts";
export { isNewOffline, reportOffline } from "./offline.ts";
export { isMarkedOffline, type OfflineReplicas } from "./offline-mark.ts";
export { nextElr } from "./partition-change.ts";
export { entriesOf, lookup, type PersistentMap, valuesOf } from "./persistent-map.ts";
export { type PlacementRequest, placePartitions } from "./placement.ts";
export { allocateProducerIds, type ProducerIdBlock } from "./producer-ids.ts";
export { isAwaitedTruncation, type ReportedTruncation, reportTruncations } from "./receipts.ts";
export { readPartition, writePartition } from "./records.ts";
export {
  type ElectionContext,
  type RegisterBrokerCommand,
  registerBroker,
  sessionProblem,
} from "./register-broker.ts";
export { isNewRegression, type Regression, type SeenState, seenEpochMax, weighSeen } from "./regressed.ts";
export { type LeaderSelection, type SettleContext, settlePartition, settlePartitions } from "./settle.ts";
export { beginShutdown } from "./shutdown.ts";
export { topicNameProblem } from "./topic-name.ts";
export { unregisterBroker } from "./unregister-broker.ts";
export { type PartitionSelection, type WantedPartition, wantedPartitions } from "./wanted-partitions.ts";
export { changeFromJson, changeFromWire, changeToJson, changeToWire } from "./wire.ts";
