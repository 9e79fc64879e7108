/** Small clusters for tests: sessions, topics and partitions in few words. */
import {
  type BrokerId,
  brokerEpoch,
  brokerId,
  controllerEpoch,
  type DirectoryId,
  directoryId,
  leaderEpoch,
  offset,
  type PartitionIndex,
  partitionEpoch,
  partitionIndex,
  type TopicId,
  topicId,
} from "@tidemark/ids";
import { applyChanges } from "../apply.ts";
import { type MetadataChange, putKnownBroker, putPartition, putSession, putTopic } from "../change.ts";
import type { Decision, Draw } from "../decision.ts";
import { emptyImage, findPartition, type MetadataImage } from "../image.ts";
import type { BrokerSession, Cluster, Partition, Topic } from "../model.ts";
import type { RegisterBrokerCommand } from "../register-broker.ts";

export const cluster: Cluster = {
  clusterId: "00000000-0000-4000-8000-00000000c1c1",
  formatVersion: 1,
  featureLevel: 1,
  sealed: false,
};

export const ordersId = uuidOf("a", 1) as TopicId;

/** The first directory of a broker. */
export function directoryOf(broker: number, number = 0): DirectoryId {
  return directoryId(uuidOf("d", broker * 100 + number));
}

export function uuidOf(letter: string, number: number): string {
  return `${letter.repeat(8)}-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

export function sessionOf(broker: number, fields: Partial<BrokerSession> = {}): BrokerSession {
  return {
    brokerId: brokerId(broker),
    brokerEpoch: brokerEpoch(1),
    incarnationId: uuidOf("e", broker),
    directoryIds: [directoryOf(broker)],
    endpoints: [{ listener: "client", host: "127.0.0.1", port: 4660 + broker }],
    rack: "",
    state: "running",
    ...fields,
  };
}

export function topicOf(fields: Partial<Topic> = {}): Topic {
  return {
    name: "orders",
    topicId: ordersId,
    partitions: 1,
    replicationFactor: 3,
    settings: new Map(),
    ...fields,
  };
}

/** A partition of `orders`; brokers by their numbers. The first of the ISR leads unless `leader` says otherwise. */
export function partitionOf(
  fields: Partial<Omit<Partition, "replicas" | "isr" | "elr" | "leader">> & {
    readonly replicas?: readonly number[];
    readonly isr?: readonly number[];
    readonly elr?: readonly number[];
    readonly leader?: number | undefined;
  } = {},
): Partition {
  const { replicas = [1, 2, 3], isr = replicas, elr = [], ...rest } = fields;
  const leader = "leader" in fields ? fields.leader : isr[0];
  return {
    topicId: ordersId,
    partition: partitionIndex(0),
    minIsr: 2,
    leaderEpoch: leaderEpoch(4),
    partitionEpoch: partitionEpoch(7),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
    ...rest,
    replicas: replicas.map((id) => ({ brokerId: brokerId(id), directoryId: directoryOf(id) })),
    isr: ids(isr),
    elr: ids(elr),
    leader: leader === undefined ? undefined : brokerId(leader),
  };
}

export function ids(numbers: readonly number[]): readonly BrokerId[] {
  return numbers.map(brokerId);
}

/** A cluster with these sessions, and `orders` with these partitions. */
export function imageOf(sessions: readonly BrokerSession[], partitions: readonly Partition[] = []): MetadataImage {
  const known = sessions.map(({ brokerId: id, brokerEpoch: epoch, directoryIds }) =>
    putKnownBroker({ brokerId: id, brokerEpoch: epoch, directoryIds, bootId: "", flushAsync: false }),
  );
  const changes: MetadataChange[] = [
    { kind: "cluster", value: cluster },
    ...known,
    ...sessions.map(putSession),
    ...partitions.map(putPartition),
  ];
  if (partitions.length > 0) changes.push(putTopic(topicOf({ partitions: partitions.length })));
  return applyChanges(emptyImage, changes).image;
}

/** Applies what was decided; throws where it was refused. */
export function follow<Answer>(
  image: MetadataImage,
  decision: Decision<Answer>,
): { readonly image: MetadataImage; readonly answer: Answer } {
  if (decision.kind === "refused") throw new Error(`Refused: ${decision.refusal.message}`);
  return { image: applyChanges(image, decision.changes).image, answer: decision.answer };
}

/** The only partition of `orders`, or the one with this index. Throws where there is none. */
export function partitionIn(image: MetadataImage, index = 0): Partition {
  const partition = findPartition(image, ordersId, partitionIndex(index) satisfies PartitionIndex);
  if (partition === undefined) throw new Error(`No partition ${index}`);
  return partition;
}

export function idOf(number: number): TopicId {
  return topicId(uuidOf("b", number));
}

/** Always the first. */
export const first: Draw = () => 0;

export const context = { controllerEpoch: controllerEpoch(2), selection: "assigned-order", draw: first } as const;

/** A partition in the words of a table: `leader isr elr epochs`. */
export function shapeOf(partition: Partition) {
  const { leader, isr, elr } = partition;
  return { leader, isr, elr, leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch };
}

/** What a broker with one directory registers with. */
export function registrationOf(broker: number, fields: Partial<RegisterBrokerCommand> = {}): RegisterBrokerCommand {
  return {
    brokerId: brokerId(broker),
    incarnationId: uuidOf("f", broker),
    clusterId: cluster.clusterId,
    directoryIds: [directoryOf(broker)],
    allDirectoriesWork: true,
    endpoints: [{ listener: "client", host: "127.0.0.1", port: 4660 }],
    rack: "",
    cleanStopBrokerEpoch: undefined,
    bootId: "boot",
    flushAsync: false,
    damaged: [],
    regressed: [],
    offline: [],
    ...fields,
  };
}
