/** Opens the logs of replicas, and starts their machines. */
import { type LogEvent, type ReplicaId, replicaName } from "@tidemark/log";
import { findPartition, findTopicById, type Partition as PartitionRecord, type Topic } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createProducerTable, type ProducerTable, type ReplicationSettings } from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import { createReplicatedPartition, type ReplicatedPartition } from "../partition/replicated-partition.ts";
import { type TopicLogSettings, topicLogSettings } from "../partition/topic-log-settings.ts";
import { maybeAskForDirectory } from "./ask-for-directory.ts";
import type { HeldReplica } from "./held-replica.ts";
import type { Opened, OpenReplica } from "./log-homes.ts";
import { partitionStateOf } from "./partition-state-of.ts";
import { enqueue, heldOf, isActive, type TableState } from "./table-state.ts";

/** Opens a replica if the newest metadata assign it to this broker. Whether it is registered does not matter. */
export function openListed(table: TableState, id: ReplicaId): void {
  const image = table.update?.image;
  const topic = image === undefined ? undefined : findTopicById(image, id.topicId);
  const record = image === undefined ? undefined : findPartition(image, id.topicId, id.partition);
  if (topic === undefined || record?.replicas.some((each) => each.brokerId === table.self) !== true) return;
  openAssigned(table, topic, record);
}

/** Opens, or makes, a replica that the metadata assign to this broker. */
export function openAssigned(table: TableState, topic: Topic, record: PartitionRecord): void {
  const id = { topicId: record.topicId, partition: record.partition };
  const held = heldOf(table, id) ?? addHeld(table, id, topic);
  const recorded = record.replicas.find((each) => each.brokerId === table.self)?.directoryId;
  open(table, held, topic, (how) => table.homes.openOrCreate(id, { ...how, recorded }));
}

/** After what time a replica that could not be opened is tried again, in milliseconds. */
const reopenMs = 1000;

/**
 * Opens a replica again that could not be opened: a disk that was full, or had no handles left, has room again, and no
 * metadata need to change for that. Nothing is done for one that has time, or is in another state, nor ahead of the
 * metadata of the registration: what they do not list is made empty.
 */
export function reopenFailed(table: TableState, { id, state }: HeldReplica, nowMs: number): void {
  if (state.kind === "failed" && nowMs >= state.againAtMs && isActive(table)) openListed(table, id);
}

/** Starts the machine of a replica whose log is open, where the newest metadata may be acted upon and assign it. */
export function startMachine(table: TableState, held: HeldReplica): void {
  const { state, id } = held;
  const { update, registration } = table;
  if (state.kind !== "ready" || update === undefined || registration === undefined || !isActive(table)) return;
  const topic = findTopicById(update.image, id.topicId);
  const record = findPartition(update.image, id.topicId, id.partition);
  if (topic === undefined || record === undefined) return;
  if (!record.replicas.some((each) => each.brokerId === table.self)) return;
  const settings = topicLogSettings(topic.settings, table.defaults);
  // They may have changed since the log began to be opened.
  state.log.configure(settings.log);
  const partition = createReplicatedPartition(table.shared, {
    place: { topic: topic.name, topicId: id.topicId, index: id.partition },
    log: state.log,
    directoryId: state.home.id,
    settings,
    replication: replicationOf(table, settings),
    brokerEpoch: registration.brokerEpoch,
    sessions: table.sessions,
    producers: state.producers,
    turn: table.started++,
    guards: table.guards,
  });
  held.state = { kind: "open", log: state.log, producers: state.producers, partition };
  tellRegistrations(table, partition, record);
  partition.applyMetadata(partitionStateOf(record), update.controllerEpoch);
}

/**
 * Begins anew from the log as it is. What was reported as flushed is in it, so that the broker epoch stays; a leader that
 * had begun its epoch waits for a newer one. One whose cut still waits has not, nor proposed who enters the ISR: it leads.
 */
export function restartMachine(table: TableState, id: ReplicaId): void {
  const held = heldOf(table, id);
  if (held?.state.kind !== "open" || held.home === undefined) return;
  const { log, producers, partition } = held.state;
  partition.leave(
    new TidemarkError({
      reason: Reason.DISK_FULL,
      message: `The disk under ${held.topic}-${id.partition} was full while its log had to be cut`,
      outcome: Outcome.UNKNOWN,
      topic: held.topic,
      partition: id.partition,
    }),
  );
  held.state = { kind: "ready", log, producers, home: held.home };
  startMachine(table, held);
}

/** Replication's settings for a topic. */
export function replicationOf(table: TableState, settings: TopicLogSettings): ReplicationSettings {
  return { ...table.replication, uncleanElection: settings.uncleanElection ?? table.uncleanDefault };
}

/** What the metadata show of the other replicas' registrations: positions of older ones count no longer (R2). */
function tellRegistrations(table: TableState, partition: ReplicatedPartition, record: PartitionRecord): void {
  for (const { brokerId } of record.replicas) {
    const session = table.update?.image.sessions.get(brokerId);
    if (session === undefined || brokerId === table.self) continue;
    partition.give({ kind: "replicaRegistered", replica: brokerId, brokerEpoch: session.brokerEpoch });
  }
}

function addHeld(table: TableState, id: ReplicaId, topic: Topic): HeldReplica {
  const held: HeldReplica = {
    id,
    topic: topic.name,
    home: undefined,
    state: { kind: "opening" },
    work: table.leaving.get(replicaName(id)) ?? Promise.resolve(),
  };
  table.held.set(replicaName(id), held);
  return held;
}

function open(table: TableState, held: HeldReplica, topic: Topic, work: (how: OpenReplica) => Promise<Opened>): void {
  const lastMessage = held.state.kind === "failed" ? held.state.message : undefined;
  held.state = lastMessage === undefined ? { kind: "opening" } : { kind: "opening", isRetry: true };
  const settings = topicLogSettings(topic.settings, table.defaults).log;
  const producers = createProducerTable(table.producers, table.guards, (id) => isGivenOut(table, id));
  const onEvent = (event: LogEvent) => {
    takeEvent(table, held, event);
  };
  enqueue(table, held, async () => {
    if (heldOf(table, held.id) !== held || table.isClosed) return;
    try {
      take(table, held, { ...(await work({ settings, onEvent, producers })), producers });
    } catch (error) {
      const message = `Partition ${topic.name}-${held.id.partition} cannot be opened: ${messageOf(error)}`;
      if (message !== lastMessage) table.logger.error(message, { topic: topic.name, partition: held.id.partition });
      held.state = { kind: "failed", message, againAtMs: table.shared.clock.monotonicMs() + reopenMs };
    }
  });
}

/** Whether a producer id is of a block that was given to a broker, by the newest metadata. True where they tell of none. */
function isGivenOut({ update }: TableState, producerId: bigint): boolean {
  const next = update?.image.producerIds?.nextProducerId;
  return next === undefined || producerId < next;
}

function take(table: TableState, held: HeldReplica, opened: Opened & { readonly producers: ProducerTable }): void {
  const { logger } = table;
  const name = `${held.topic}-${held.id.partition}`;
  const where = { topic: held.topic, partition: held.id.partition };
  switch (opened.kind) {
    case "ready":
      held.home = opened.home;
      held.state = { kind: "ready", log: opened.log, producers: opened.producers, home: opened.home };
      startMachine(table, held);
      return;
    case "damaged":
      held.home = opened.home;
      held.state = { kind: "damaged", log: opened.log, damage: opened.damage, isNoted: true, givenUpIn: undefined };
      logger.error(`Partition ${name} is damaged: ${opened.damage.detail}`, where);
      return;
    case "misplaced":
      held.state = { kind: "misplaced", directoryId: opened.directoryId, askedAt: undefined };
      logger.error(
        `Partition ${name} is recorded in the log directory ${opened.directoryId}, which this broker does not have: it is not made anew while that may be needed`,
        where,
      );
      followNewest(table, held);
      return;
  }
}

/** The metadata may have come to something else while the replica was looked for. */
function followNewest(table: TableState, held: HeldReplica): void {
  const image = table.update?.image;
  const topic = image && findTopicById(image, held.id.topicId);
  const record = image && findPartition(image, held.id.topicId, held.id.partition);
  if (topic !== undefined && record !== undefined && isActive(table)) followMisplaced(table, held, { topic, record });
}

/** Opens a misplaced replica where the metadata record another directory by now, or asks for one. */
export function followMisplaced(
  table: TableState,
  held: HeldReplica,
  { topic, record }: { readonly topic: Topic; readonly record: PartitionRecord },
): void {
  const own = record.replicas.find((each) => each.brokerId === table.self);
  if (held.state.kind !== "misplaced" || own === undefined) return;
  if (own.directoryId !== held.state.directoryId) openAssigned(table, topic, record);
  else maybeAskForDirectory(table, held, record);
}

function takeEvent(table: TableState, held: HeldReplica, event: LogEvent): void {
  const { state } = held;
  if (state.kind === "open") {
    state.partition.onLogEvent(event);
    table.onLogEvent?.(state.partition, event);
  }
  if (event.kind !== "offline" || (state.kind !== "open" && state.kind !== "ready")) return;
  const damaged = {
    kind: "damaged",
    log: state.log,
    damage: event.damage,
    isNoted: false,
    givenUpIn: undefined,
  } as const;
  held.state = damaged;
  const noted = () => {
    if (held.state === damaged) held.state = { ...damaged, isNoted: true };
  };
  // Where it cannot be noted the directory has failed, and the replica with it, or the log is being closed.
  damaged.log.damageNoted().then(noted, () => undefined);
  table.logger.error(`Partition ${held.topic}-${held.id.partition} is damaged: ${event.damage.detail}`, {
    topic: held.topic,
    partition: held.id.partition,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
