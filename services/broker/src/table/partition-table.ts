import type { BrokerId, TopicId } from "@tidemark/ids";
import { type Log, type LogDirectory, type LogEvent, type ReplicaId, replicaName } from "@tidemark/log";
import { findTopic, type ReportedTruncation, type SeenState, valuesOf } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  createFetchSessions,
  defaultProducerSettings,
  type ProducerSettings,
  type ReplicationSettings,
  type RequestId,
  type TraceEvent,
} from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import { unknownTopic } from "../errors.ts";
import { allBrokerGuards, type BrokerExperiment } from "../experiment.ts";
import { type FollowerStandings, standingOf } from "../partition/follower-standing.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionLinks, PartitionPlace, PartitionShared } from "../partition/replica-state.ts";
import type { ReplicatedPartition } from "../partition/replicated-partition.ts";
import type { TopicDefaults } from "../partition/topic-log-settings.ts";
import type { ReplicaReceiving, ReplicaServing } from "../replication/replica-exchange.ts";
import type { ReplicaInspection } from "../replication/replica-inspection.ts";
import { isReceiptOpen } from "./cut-notes.ts";
import { carriedOut } from "./deleted-topics.ts";
import { createInspection, createReceiving, createServing } from "./exchange.ts";
import { findHeld, findLed, leaderIn, type PartitionRequest } from "./find-partition.ts";
import { drop, followMetadata } from "./follow-metadata.ts";
import type { HeldReplica, HeldState } from "./held-replica.ts";
import { createLogHomes } from "./log-homes.ts";
import { openListed, reopenFailed, replicationOf, restartMachine } from "./open-replica.ts";
import { regressedReplicas } from "./regressed-replicas.ts";
import { enqueue, heldOf, type TableRegistration, type TableState, type TableUpdate } from "./table-state.ts";
import { createTaskGroup } from "./task-group.ts";

/** The partitions of a broker, as the data service looks for them. */
export interface PartitionLookup {
  /** The partition that a request means, led here. Throws a TidemarkError: unknown, not led here, not open. */
  find(request: PartitionRequest): Partition;
  /** The same, led here or not. */
  findHeld(request: PartitionRequest): Partition;
  /** How many partitions a topic has. Throws REASON_UNKNOWN_TOPIC. */
  partitionCount(topic: string): number;
  /** Indexes of the partitions of a topic that this broker leads. */
  ledOf(topic: string): readonly number[];
  /** Indexes of the partitions of a topic of which this broker has a replica, in service or not. */
  heldOf(topic: string): readonly number[];
}

/** The partitions of which this broker has replicas, kept as the metadata say. */
export interface PartitionTable extends PartitionLookup {
  /** Opens every replica that the directories list, as far as `update` knows it. Before the first registration. */
  openListed(update: TableUpdate): Promise<void>;
  /** This broker registered, for the first time or anew: what it led has a newer leader epoch by then (D8). */
  registered(registration: TableRegistration): void;
  /**
   * Makes the replicas what the metadata say: what is open takes them during the call. Resolves when all that has to be
   * opened, made or removed for it is; never rejects: a replica that cannot be opened answers with its error.
   */
  apply(update: TableUpdate): Promise<void>;
  /** Time passes, for every replica. After input was read. `controllerHeardMs`: when the controller was heard last. */
  tick(controllerHeardMs: number): void;
  /** The session is lost: nothing is led until newer metadata say so. */
  resignAll(reason: string): void;
  /** Whether topics that do not say allow unclean elections, by the controller. Until it is told: they do not. */
  setUncleanDefault(isAllowed: boolean): void;
  led(): readonly Partition[];
  /** Every log in service, led here or followed: for what is done with all of them from time to time. */
  logs(): readonly OpenLog[];
  /** Topic ids whose deletion was carried out and not confirmed by the controller yet. */
  deletions(): readonly TopicId[];
  /** Replicas in which damage was found and noted, and which are not given up yet. */
  damaged(): readonly ReplicaId[];
  /** Replicas that are not served though their directory works. */
  offline(): readonly ReplicaId[];
  /** What replicas here cut, for receipts of unclean elections that await it (D3). */
  truncations(): readonly ReportedTruncation[];
  /** What replicas here have seen that the newest metadata do not know (METADATA_REGRESSED). */
  regressed(): readonly SeenState[];
  readonly serving: ReplicaServing;
  readonly receiving: ReplicaReceiving;
  readonly inspection: ReplicaInspection;
  /** Ends what is pending, and waits for what is under way. */
  close(): Promise<void>;
}

/** A log in service. */
export interface OpenLog {
  /** For messages: `orders-0`. */
  readonly name: string;
  readonly log: Log;
  /** Whether this broker leads the partition now. */
  readonly isLed: boolean;
}

export interface PartitionTableOptions {
  readonly brokerId: BrokerId;
  /** Those that are in service, at least one. */
  readonly directories: readonly LogDirectory[];
  readonly defaults: TopicDefaults;
  readonly replication: ReplicationSettings;
  /** What is remembered of idempotent producers. Default: as documented. */
  readonly producers?: ProducerSettings;
  readonly links: PartitionLinks;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether every log directory that is configured works: one that the metadata name beside them is gone, not failed. */
  readonly doAllDirectoriesWork: () => boolean;
  /** A damaged replica, or one whose directory is gone, can be copied anew once this broker has registered anew. */
  readonly onNewEpochNeeded: () => void;
  /** A tick is wanted then, on the monotonic clock. May be told often. Absent: the next one will do. */
  readonly onDue?: (atMs: number) => void;
  readonly onLogEvent?: (partition: Partition, event: LogEvent) => void;
  readonly onTrace?: (place: PartitionPlace, event: TraceEvent, standing: FollowerStandings) => void;
  readonly onFetched?: PartitionShared["onFetched"];
  readonly onLeft?: PartitionShared["onLeft"];
  readonly experiment?: BrokerExperiment | undefined;
}

/** Replicas that are opened, made or removed at a time. */
const diskWorks = 16;

export function createPartitionTable(options: PartitionTableOptions): PartitionTable {
  const table = createState(options);
  const openHeld = () => [...table.held.values()].flatMap(openPartition);
  const led = () => openHeld().filter((partition) => partition.isLed);
  return {
    async openListed(update) {
      table.update = update;
      // Two directories may list one replica, as after a disk is back that was given up.
      const listed = table.homes.directories.flatMap((directory) => directory.replicas());
      const byName = new Map(listed.map((replica) => [replicaName(replica), replica]));
      for (const replica of byName.values()) openListed(table, replica);
      await table.tasks.settled();
    },
    registered(registration) {
      table.registration = registration;
      table.isRegistered = true;
      table.isCurrent = false;
      const { brokerEpoch } = registration;
      const nowMs = options.clock.monotonicMs();
      for (const partition of openHeld()) partition.give({ kind: "registered", brokerEpoch, nowMs });
      if (table.update !== undefined) followMetadata(table, table.update);
    },
    async apply(update) {
      followMetadata(table, update);
      await table.tasks.settled();
    },
    tick(controllerHeardMs) {
      const nowMs = options.clock.monotonicMs();
      for (const held of table.held.values()) {
        if (held.state.kind === "open") held.state.partition.tick({ nowMs, controllerHeardMs });
        else reopenFailed(table, held, nowMs);
      }
    },
    resignAll(reason) {
      // The metadata of the next registration may be here before its answer is: who led by them would resign again.
      table.isRegistered = false;
      for (const partition of openHeld()) partition.give({ kind: "resign", reason });
    },
    setUncleanDefault(isAllowed) {
      if (table.uncleanDefault === isAllowed) return;
      table.uncleanDefault = isAllowed;
      for (const partition of openHeld()) {
        partition.configure(partition.settings, replicationOf(table, partition.settings));
      }
    },
    find: (request) => findLed(table, request),
    findHeld: (request) => findHeld(table, request),
    partitionCount(topic) {
      const known = table.update === undefined ? undefined : findTopic(table.update.image, topic);
      if (known === undefined) throw unknownTopic(topic);
      return known.partitions;
    },
    led,
    logs: () => openHeld().map(({ topic, index, log, isLed }) => ({ name: `${topic}-${index}`, log, isLed })),
    ledOf: (topic) =>
      led()
        .filter((each) => each.topic === topic)
        .map((each) => each.index)
        .sort((a, b) => a - b),
    heldOf: (topic) =>
      [...table.held.values()]
        .filter((each) => each.topic === topic)
        .map(({ id }) => id.partition)
        .sort((a, b) => a - b),
    deletions: () => carriedOut(table),
    damaged: () =>
      [...table.held.values()].flatMap(({ id, state }) =>
        state.kind === "damaged" && state.isNoted && state.givenUpIn === undefined ? [id] : [],
      ),
    offline: () => [...table.held.values()].flatMap(({ id, state }) => (isOffline(state) ? [id] : [])),
    truncations: () => awaitedTruncations(table),
    regressed: () => regressedReplicas(table),
    serving: createServing(table),
    receiving: createReceiving(table),
    inspection: createInspection(table),
    close: () => close(table),
  };
}

function isOffline(state: HeldState): boolean {
  switch (state.kind) {
    case "misplaced":
    case "failed":
      return true;
    case "opening":
      return state.isRetry === true;
    case "damaged":
      return !state.isNoted;
    case "ready":
    case "open":
      return false;
  }
}

function openPartition({ state }: HeldReplica): ReplicatedPartition[] {
  return state.kind === "open" ? [state.partition] : [];
}

function awaitedTruncations(table: TableState): readonly ReportedTruncation[] {
  const image = table.update?.image;
  if (image === undefined) return [];
  const found: ReportedTruncation[] = [];
  for (const { topicId, partition, leaderEpoch, awaited } of valuesOf(image.receipts)) {
    const state = heldOf(table, { topicId, partition })?.state;
    if (!awaited.includes(table.self) || state?.kind !== "open") continue;
    const truncation = state.partition.truncation();
    if (truncation !== undefined && truncation.leaderEpoch >= leaderEpoch)
      found.push({ topicId, partition, ...truncation });
  }
  return found;
}

async function close(table: TableState): Promise<void> {
  table.isClosed = true;
  const error = new TidemarkError({
    reason: Reason.SHUTTING_DOWN,
    message: "The broker is stopping",
    outcome: Outcome.UNKNOWN,
  });
  for (const held of [...table.held.values()]) drop(table, held, error);
  await table.tasks.settled();
  await Promise.all(table.leaving.values());
}

/** What its machine knows can be relied upon no longer. */
function takeOutOfService(table: TableState, id: ReplicaId, error: unknown): void {
  const held = table.held.get(replicaName(id));
  if (held === undefined) return;
  const where = { topic: held.topic, partition: id.partition };
  const message = `Partition ${held.topic}-${id.partition} cannot go on and is out of service`;
  table.logger.error(message, {
    ...where,
    why: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  const { state } = held;
  held.state = { kind: "failed", message, againAtMs: Number.POSITIVE_INFINITY };
  if (state.kind === "open") enqueue(table, held, () => state.log.close());
}

function createState(options: PartitionTableOptions): TableState {
  const { brokerId, clock, logger, links } = options;
  let lastRequest = 0;
  const shared: PartitionShared = {
    self: brokerId,
    clock,
    links,
    requests: { next: () => ++lastRequest as RequestId },
    isReceiptOpen: (id) => isReceiptOpen(table, id),
    leaderOf: (broker) => (table.update === undefined ? undefined : leaderIn(table.update.image, broker)),
    onTrace: (replica, event) => {
      options.onTrace?.(replica.place, event, (follower) => standingOf(replica, follower));
    },
    onFetched: (place, fetched, flushed) => options.onFetched?.(place, fetched, flushed),
    onLeft: (place) => options.onLeft?.(place),
    onStep: options.experiment?.onStep,
    onDue: (atMs) => {
      options.onDue?.(atMs);
    },
    onStuck: (id) => {
      restartMachine(table, id);
    },
    onBroken: (id, error) => {
      takeOutOfService(table, id, error);
    },
  };
  const table: TableState = {
    self: brokerId,
    homes: createLogHomes(options.directories),
    defaults: options.defaults,
    replication: options.replication,
    producers: options.producers ?? defaultProducerSettings,
    guards: options.experiment?.replicationGuards,
    brokerGuards: options.experiment?.brokerGuards ?? allBrokerGuards,
    shared,
    sessions: createFetchSessions(),
    logger,
    tasks: createTaskGroup(diskWorks, logger),
    held: new Map(),
    onLogEvent: options.onLogEvent,
    doAllDirectoriesWork: options.doAllDirectoriesWork,
    onNewEpochNeeded: options.onNewEpochNeeded,
    uncleanDefault: false,
    update: undefined,
    registration: undefined,
    isCurrent: false,
    isRegistered: false,
    leaving: new Map(),
    removing: new Set(),
    started: 0,
    isClosed: false,
  };
  return table;
}
