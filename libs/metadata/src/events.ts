import type { BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId } from "@tidemark/ids";
import type { Receipt } from "./model.ts";

/** Why leadership of a partition was decided: the first of a new partition, the others anew. */
export const electionCauses = [
  "topic created",
  "connection lost",
  "session timeout",
  "shutdown",
  "registration",
  "broker returned",
  "preferred",
  "unclean",
  "reassignment",
  "directory failed",
  "replica damaged",
  "replica offline",
  "metadata regressed",
] as const;
export type ElectionCause = (typeof electionCauses)[number];

/** What chose the leader (D2): where it stood before, or that there is none. */
export type ElectionRule = "created" | "isr" | "elr" | "preferred" | "unclean" | "none";

/** Why a session ended. */
export type SessionEndCause = Extract<
  ElectionCause,
  "connection lost" | "session timeout" | "shutdown" | "registration"
>;

/** What a decision brought about, told once it is committed. Spans, metrics and the history of elections follow from it. */
export type MetadataEvent =
  | { readonly kind: "clusterCreated"; readonly clusterId: string }
  | { readonly kind: "brokerRegistered"; readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch }
  | {
      readonly kind: "sessionEnded";
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
      readonly cause: SessionEndCause;
    }
  | { readonly kind: "brokerUnregistered"; readonly brokerId: BrokerId }
  | { readonly kind: "shutdownBegun"; readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch }
  | { readonly kind: "directoriesFailed"; readonly brokerId: BrokerId; readonly directoryIds: readonly string[] }
  | { readonly kind: "replicasDamaged"; readonly brokerId: BrokerId; readonly replicas: number }
  /** Their log directory is gone: they are copied anew into another one. */
  | { readonly kind: "replicasRehomed"; readonly brokerId: BrokerId; readonly replicas: number }
  | {
      readonly kind: "topicCreated";
      readonly topicId: TopicId;
      readonly topic: string;
      readonly partitions: number;
      readonly replicationFactor: number;
    }
  | { readonly kind: "topicDeleted"; readonly topicId: TopicId; readonly topic: string }
  | { readonly kind: "partitionsAdded"; readonly topicId: TopicId; readonly topic: string; readonly partitions: number }
  | { readonly kind: "topicConfigured"; readonly topicId: TopicId; readonly topic: string }
  | ElectionEvent
  | IsrEvent
  | ReceiptEvent
  | { readonly kind: "orphansSwept"; readonly partitions: number };

/** Leadership of one partition was decided, perhaps that nobody has it. */
export interface ElectionEvent {
  readonly kind: "elected";
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: PartitionIndex;
  readonly cause: ElectionCause;
  readonly rule: ElectionRule;
  readonly oldLeader: BrokerId | undefined;
  readonly newLeader: BrokerId | undefined;
  readonly leaderEpoch: LeaderEpoch;
  readonly isr: readonly BrokerId[];
  readonly elr: readonly BrokerId[];
}

/** A receipt of an unclean election was opened, or a replica reported what it cut (D3). */
export interface ReceiptEvent {
  readonly kind: "receipt";
  readonly topic: string;
  readonly partition: PartitionIndex;
  /** As it stands now. */
  readonly receipt: Receipt;
}

/** The committed ISR of one partition changed. */
export interface IsrEvent {
  readonly kind: "isrChanged";
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: PartitionIndex;
  readonly before: readonly BrokerId[];
  readonly after: readonly BrokerId[];
  readonly elr: readonly BrokerId[];
  readonly partitionEpoch: PartitionEpoch;
}
