import { type MetadataVersion, reaches } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { type LogEvent, type ReplicaId, replicaName } from "@tidemark/log";
import type { MetadataDelta, MetadataImage } from "@tidemark/metadata";
import type { FetchSessions, ProducerSettings, ReplicationGuards, ReplicationSettings } from "@tidemark/replication";
import type { Logger } from "@tidemark/telemetry";
import type { BrokerGuards } from "../experiment.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionShared } from "../partition/replica-state.ts";
import type { TopicDefaults } from "../partition/topic-log-settings.ts";
import type { HeldReplica } from "./held-replica.ts";
import type { LogHomes } from "./log-homes.ts";
import type { TaskGroup } from "./task-group.ts";

/** The metadata after a step. */
export interface TableUpdate extends MetadataVersion {
  readonly image: MetadataImage;
  /** What the step changed since the update before it. Undefined: not known, all may have changed. */
  readonly delta?: MetadataDelta;
}

/** A registration of this broker, and where it stands in the metadata: what is from before it is not acted upon (D8). */
export interface TableRegistration extends MetadataVersion {
  readonly brokerEpoch: BrokerEpoch;
}

/** The partitions of this broker as the parts of the table share them. */
export interface TableState {
  readonly self: BrokerId;
  readonly homes: LogHomes;
  readonly defaults: TopicDefaults;
  readonly replication: ReplicationSettings;
  readonly producers: ProducerSettings;
  readonly guards: ReplicationGuards | undefined;
  readonly brokerGuards: BrokerGuards;
  readonly shared: PartitionShared;
  readonly sessions: FetchSessions;
  readonly logger: Logger;
  /** What is under way on disks. */
  readonly tasks: TaskGroup;
  readonly held: Map<string, HeldReplica>;
  readonly onLogEvent: ((partition: Partition, event: LogEvent) => void) | undefined;
  /** Whether every log directory that is configured works: one that the metadata name beside them is gone, not failed. */
  readonly doAllDirectoriesWork: () => boolean;
  /** A damaged replica, or one whose directory is gone, may be copied anew once this broker has a newer broker epoch. */
  readonly onNewEpochNeeded: () => void;
  /** Whether topics that do not say allow unclean elections. */
  uncleanDefault: boolean;
  /** The newest metadata, acted upon or not. */
  update: TableUpdate | undefined;
  registration: TableRegistration | undefined;
  /** False from the loss of a session to the next registration: what comes meanwhile belongs to the next one (D8). */
  isRegistered: boolean;
  /** The last update was acted upon, so that the next one's delta says all that changed. */
  isCurrent: boolean;
  /** Logs of replicas that are held no longer, while they are being closed. */
  readonly leaving: Map<string, Promise<void>>;
  /** Replicas that are being removed or set aside, each in a directory. */
  readonly removing: Set<string>;
  /** Machines that were started. */
  started: number;
  isClosed: boolean;
}

export function heldOf(table: TableState, replica: ReplicaId): HeldReplica | undefined {
  return table.held.get(replicaName(replica));
}

/** Whether the newest metadata may be acted upon: those from before the registration may not (D8). */
export function isActive({ registration, isRegistered, update, isClosed }: TableState): boolean {
  if (isClosed || !isRegistered || registration === undefined || update === undefined) return false;
  return reaches(update, registration);
}

/** Appends work with a replica's log to what is under way with it. */
export function enqueue(table: TableState, held: HeldReplica, work: () => Promise<void>): void {
  held.work = table.tasks.run(held.work, work);
}
