/** Makes the broker's replicas what the metadata say. */
import type { BrokerId, TopicId } from "@tidemark/ids";
import { replicaName } from "@tidemark/log";
import {
  eachPartition,
  findPartition,
  findTopicById,
  type MetadataDelta,
  type Partition as PartitionRecord,
  type Topic,
} from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { notLeader } from "../partition/refusal-error.ts";
import { topicLogSettings } from "../partition/topic-log-settings.ts";
import { maybeCopyAnew } from "./copy-anew.ts";
import { forgetToldCuts } from "./cut-notes.ts";
import { removeDeleted, setStrayAside } from "./deleted-topics.ts";
import type { HeldReplica } from "./held-replica.ts";
import { followMisplaced, openAssigned, replicationOf, startMachine } from "./open-replica.ts";
import { partitionStateOf } from "./partition-state-of.ts";
import { heldOf, isActive, type TableState, type TableUpdate } from "./table-state.ts";

/** Takes note of newer metadata, and acts upon them unless they are from before the registration. */
export function followMetadata(table: TableState, update: TableUpdate): void {
  table.update = update;
  const delta = table.isCurrent ? update.delta : undefined;
  table.isCurrent = isActive(table);
  if (!table.isCurrent) return;
  if (delta === undefined) followAll(table, update);
  else followDelta(table, delta);
  forgetToldCuts(table);
}

function followAll(table: TableState, { image }: TableUpdate): void {
  for (const session of image.sessions.values()) tellRegistration(table, session.brokerId);
  const named = new Set<string>();
  for (const { topic, partition } of eachPartition(image)) {
    named.add(replicaName({ topicId: partition.topicId, partition: partition.partition }));
    configure(table, topic, partition);
    followPartition(table, topic, partition);
  }
  for (const [name, held] of table.held) if (!named.has(name)) drop(table, held, deleted(held.topic));
  removeDeleted(table);
  setStrayAside(table);
}

function followDelta(table: TableState, delta: MetadataDelta): void {
  const image = table.update?.image;
  if (image === undefined) return;
  for (const { after } of delta.sessions) if (after !== undefined) tellRegistration(table, after.brokerId);
  for (const { after } of delta.topics) if (after !== undefined) configureTopic(table, after);
  for (const { before, after } of delta.partitions) {
    const topicId: TopicId | undefined = (after ?? before)?.topicId;
    const topic = topicId === undefined ? undefined : findTopicById(image, topicId);
    if (after !== undefined && topic !== undefined) followPartition(table, topic, after);
    else if (before !== undefined) {
      const held = heldOf(table, { topicId: before.topicId, partition: before.partition });
      if (held !== undefined) drop(table, held, deleted(held.topic));
    }
  }
  if (delta.deletedTopics.length > 0) removeDeleted(table);
  if (delta.topics.length > 0) setStrayAside(table);
}

function followPartition(table: TableState, topic: Topic, record: PartitionRecord): void {
  const held = heldOf(table, { topicId: record.topicId, partition: record.partition });
  const assigned = record.replicas.find((each) => each.brokerId === table.self);
  if (assigned === undefined) {
    if (held !== undefined) unassign(table, held, record);
    return;
  }
  switch (held?.state.kind) {
    case undefined:
      openAssigned(table, topic, record);
      return;
    case "opening":
      // Takes what is newest when it is open.
      return;
    case "ready":
      if (assigned.directoryId !== undefined && assigned.directoryId !== held.state.home.id) {
        drop(table, held, deleted(held.topic));
        openAssigned(table, topic, record);
      } else startMachine(table, held);
      return;
    case "open":
      applyTo(table, held, record);
      return;
    case "damaged":
      maybeCopyAnew(table, held, topic, record);
      return;
    case "misplaced":
      followMisplaced(table, held, { topic, record });
      return;
    case "failed":
      if (Number.isFinite(held.state.againAtMs)) openAssigned(table, topic, record);
      return;
  }
}

function applyTo({ update }: TableState, { state }: HeldReplica, record: PartitionRecord): void {
  if (state.kind !== "open" || update === undefined) return;
  state.partition.applyMetadata(partitionStateOf(record), update.controllerEpoch);
}

/** Another broker's registration: what its older ones had reported counts no longer (R2). */
function tellRegistration(table: TableState, broker: BrokerId): void {
  const image = table.update?.image;
  const session = image?.sessions.get(broker);
  if (image === undefined || session === undefined || broker === table.self) return;
  for (const { id, state } of table.held.values()) {
    if (state.kind !== "open") continue;
    const record = findPartition(image, id.topicId, id.partition);
    if (record?.replicas.some((each) => each.brokerId === broker) !== true) continue;
    state.partition.give({ kind: "replicaRegistered", replica: broker, brokerEpoch: session.brokerEpoch });
  }
}

function configureTopic(table: TableState, topic: Topic): void {
  for (const { id, state } of table.held.values()) {
    if (id.topicId !== topic.topicId || state.kind !== "open") continue;
    const settings = topicLogSettings(topic.settings, table.defaults);
    state.partition.configure(settings, replicationOf(table, settings));
  }
}

function configure(table: TableState, topic: Topic, record: PartitionRecord): void {
  const state = heldOf(table, { topicId: record.topicId, partition: record.partition })?.state;
  if (state?.kind !== "open") return;
  const settings = topicLogSettings(topic.settings, table.defaults);
  state.partition.configure(settings, replicationOf(table, settings));
}

/** The replica went to another broker. Its data stays until it is deleted by name of its topic (D7). */
function unassign(table: TableState, held: HeldReplica, record: PartitionRecord): void {
  applyTo(table, held, record);
  const { leader, leaderEpoch } = record;
  const error = notLeader({
    topic: held.topic,
    index: record.partition,
    hint: { leader, leaderEpoch },
    outcome: Outcome.UNKNOWN,
    leaderOf: table.shared.leaderOf,
  });
  drop(table, held, error);
}

/** Ends a replica that this broker is not to serve any more. Its data stays. */
export function drop(table: TableState, held: HeldReplica, error: TidemarkError): void {
  const name = replicaName(held.id);
  table.held.delete(name);
  const { state } = held;
  if (state.kind === "open") state.partition.leave(error);
  const closed = closeBehind(table, held).finally(() => {
    if (table.leaving.get(name) === closed) table.leaving.delete(name);
  });
  table.leaving.set(name, closed);
}

async function closeBehind(table: TableState, held: HeldReplica): Promise<void> {
  await held.work;
  const { state } = held;
  if (state.kind !== "open" && state.kind !== "ready" && state.kind !== "damaged") return;
  try {
    await state.log.close();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    table.logger.error(`The log of ${held.topic}-${held.id.partition} was not closed cleanly`, { why });
  }
}

function deleted(topic: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC,
    message: `The topic ${topic} was deleted`,
    outcome: Outcome.UNKNOWN,
    topic,
  });
}
