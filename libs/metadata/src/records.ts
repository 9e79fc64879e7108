/**
 * Between the values of the domain and the messages of `tidemark.metadata.v1`. Reading throws RangeError where a field
 * has a value that it cannot have; `wire.ts` and `json.ts` turn that into a malformed key.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  controllerId,
  directoryId,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import type { Endpoint as EndpointMessage } from "@tidemark/proto/common/v1";
import {
  type BrokerSessionRecord,
  BrokerSessionRecordSchema,
  BrokerState as BrokerStateNumber,
  type ClusterRecord,
  ClusterRecordSchema,
  type ControllerRecord,
  ControllerRecordSchema,
  type DeletedTopicRecord,
  DeletedTopicRecordSchema,
  type KnownBrokerRecord,
  KnownBrokerRecordSchema,
  type PartitionRecord,
  PartitionRecordSchema,
  type ProducerIdsRecord,
  ProducerIdsRecordSchema,
  type ReceiptRecord,
  ReceiptRecordSchema,
  type ReplicaRecord,
  type TopicRecord,
  TopicRecordSchema,
} from "@tidemark/proto/metadata/v1";
import type {
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
  Topic,
} from "./model.ts";

export function readCluster(record: ClusterRecord): Cluster {
  check(record.clusterId !== "", "a cluster has an id");
  check(record.formatVersion > 0, "a format version is at least 1");
  const { clusterId, formatVersion, featureLevel, sealed } = record;
  return { clusterId, formatVersion, featureLevel, sealed };
}

export function writeCluster(value: Cluster): ClusterRecord {
  return create(ClusterRecordSchema, value);
}

export function readController(record: ControllerRecord): ActiveController {
  return {
    controllerId: record.controllerId === -1 ? undefined : controllerId(record.controllerId),
    directoryId: record.directoryId,
    endpoint: record.endpoint,
    controllerEpoch: controllerEpoch(record.controllerEpoch),
  };
}

export function writeController(value: ActiveController): ControllerRecord {
  return create(ControllerRecordSchema, { ...value, controllerId: value.controllerId ?? -1 });
}

export function readSession(record: BrokerSessionRecord): BrokerSession {
  return {
    brokerId: brokerId(record.brokerId),
    brokerEpoch: brokerEpoch(record.brokerEpoch),
    incarnationId: record.incarnationId,
    directoryIds: record.directoryIds.map(directoryId),
    endpoints: record.endpoints.map(readEndpoint),
    rack: record.rack,
    state: readState(record.state),
  };
}

export function writeSession(value: BrokerSession): BrokerSessionRecord {
  return create(BrokerSessionRecordSchema, {
    ...value,
    directoryIds: [...value.directoryIds],
    endpoints: value.endpoints.map(({ listener, host, port }) => ({ listener, host, port })),
    state: writeState(value.state),
  });
}

function readEndpoint({ listener, host, port }: EndpointMessage): Endpoint {
  check(listener !== "" && host !== "", "an endpoint has a listener's name and a host");
  check(port >= 1 && port <= 65535, "a port is 1 to 65535");
  return { listener, host, port };
}

function readState(state: BrokerStateNumber): BrokerState {
  switch (state) {
    case BrokerStateNumber.UNSPECIFIED:
    case BrokerStateNumber.RUNNING:
      return "running";
    case BrokerStateNumber.STOPPING:
      return "stopping";
    default:
      // A state of a newer version: whoever does not know what it allows takes it to allow nothing.
      return "fenced";
  }
}

/** The number of a broker's state in messages. */
export function writeState(state: BrokerState): BrokerStateNumber {
  switch (state) {
    case "running":
      return BrokerStateNumber.RUNNING;
    case "stopping":
      return BrokerStateNumber.STOPPING;
    case "fenced":
      return BrokerStateNumber.FENCED;
  }
}

export function readKnownBroker(record: KnownBrokerRecord): KnownBroker {
  return {
    brokerId: brokerId(record.brokerId),
    brokerEpoch: brokerEpoch(record.brokerEpoch),
    directoryIds: record.directoryIds.map(directoryId),
    bootId: record.bootId,
    flushAsync: record.flushAsync,
  };
}

export function writeKnownBroker(value: KnownBroker): KnownBrokerRecord {
  return create(KnownBrokerRecordSchema, { ...value, directoryIds: [...value.directoryIds] });
}

export function readTopic(record: TopicRecord): Topic {
  check(record.partitions > 0, "a topic has at least one partition");
  check(record.replicationFactor > 0, "a replication factor is at least 1");
  return {
    name: record.name,
    topicId: topicId(record.topicId),
    partitions: record.partitions,
    replicationFactor: record.replicationFactor,
    settings: new Map(Object.entries(record.settings)),
    ...(record.wasAsync ? { wasAsync: true } : {}),
  };
}

export function writeTopic(value: Topic): TopicRecord {
  return create(TopicRecordSchema, { ...value, settings: Object.fromEntries(value.settings) });
}

export function readPartition(record: PartitionRecord): Partition {
  check(record.replicas.length > 0, "a partition has at least one replica");
  check(record.minIsr > 0, "the min ISR in force is at least 1");
  const isr = record.isr.map(brokerId);
  const leader = record.leader === undefined ? undefined : brokerId(record.leader);
  const replicas = record.replicas.map(readReplica);
  const assigned = new Set(replicas.map((replica) => replica.brokerId));
  check(assigned.size === replicas.length, "no broker has two replicas of one partition");
  check(
    isr.every((member) => assigned.has(member)),
    "the ISR is within the replicas",
  );
  check(leader === undefined || isr.includes(leader), "the leader is in the ISR");
  return {
    topicId: topicId(record.topicId),
    partition: partitionIndex(record.partition),
    replicas,
    isr,
    elr: record.elr.map(brokerId),
    minIsr: record.minIsr,
    leader,
    leaderEpoch: leaderEpoch(record.leaderEpoch),
    partitionEpoch: partitionEpoch(record.partitionEpoch),
    controllerEpoch: controllerEpoch(record.controllerEpoch),
    adding: record.adding.map(brokerId),
    removing: record.removing.map(brokerId),
    recovering: record.recovering,
    logStart: offset(record.logStart),
    ...(record.regressedFrom === undefined ? {} : { regressedFrom: leaderEpoch(record.regressedFrom) }),
  };
}

function readReplica(record: ReplicaRecord): Replica {
  return {
    brokerId: brokerId(record.brokerId),
    directoryId: record.directoryId === "" ? undefined : directoryId(record.directoryId),
    ...(record.damagedBrokerEpoch === undefined ? {} : { damagedIn: brokerEpoch(record.damagedBrokerEpoch) }),
    ...(record.offlineBrokerEpoch === undefined ? {} : { offlineIn: brokerEpoch(record.offlineBrokerEpoch) }),
  };
}

function writeReplica({ brokerId: id, directoryId: directory, damagedIn, offlineIn }: Replica) {
  return {
    brokerId: id,
    directoryId: directory ?? "",
    ...(damagedIn === undefined ? {} : { damagedBrokerEpoch: damagedIn }),
    ...(offlineIn === undefined ? {} : { offlineBrokerEpoch: offlineIn }),
  };
}

export function writePartition(value: Partition): PartitionRecord {
  const { leader, ...rest } = value;
  const init: MessageInitShape<typeof PartitionRecordSchema> = {
    ...rest,
    replicas: value.replicas.map(writeReplica),
    isr: [...value.isr],
    elr: [...value.elr],
    adding: [...value.adding],
    removing: [...value.removing],
  };
  return create(PartitionRecordSchema, leader === undefined ? init : { ...init, leader });
}

export function readDeletedTopic(record: DeletedTopicRecord): DeletedTopic {
  return { topicId: topicId(record.topicId), name: record.name, awaited: record.awaited.map(brokerId) };
}

export function writeDeletedTopic(value: DeletedTopic): DeletedTopicRecord {
  return create(DeletedTopicRecordSchema, { ...value, awaited: [...value.awaited] });
}

export function readReceipt(record: ReceiptRecord): Receipt {
  return {
    topicId: topicId(record.topicId),
    partition: partitionIndex(record.partition),
    leaderEpoch: leaderEpoch(record.leaderEpoch),
    leader: brokerId(record.leader),
    commanded: record.commanded,
    timeMs: Number(record.timeMs),
    positions: record.positions.map((position) => ({
      brokerId: brokerId(position.brokerId),
      lastLeaderEpoch: position.lastLeaderEpoch,
      logEnd: offset(position.logEnd),
      logStart: offset(position.logStart),
    })),
    cuts: record.cuts.map((cut) => ({
      brokerId: brokerId(cut.brokerId),
      firstOffset: offset(cut.firstOffset),
      logEnd: offset(cut.logEnd),
      ...(cut.copiedAnew ? { copiedAnew: true } : {}),
    })),
    awaited: record.awaited.map(brokerId),
  };
}

export function writeReceipt(value: Receipt): ReceiptRecord {
  return create(ReceiptRecordSchema, {
    ...value,
    timeMs: BigInt(Math.trunc(value.timeMs)),
    positions: value.positions.map((position) => ({ ...position })),
    cuts: value.cuts.map((cut) => ({ ...cut })),
    awaited: [...value.awaited],
  });
}

export function readProducerIds(record: ProducerIdsRecord): ProducerIds {
  check(record.nextProducerId >= 0n, "producer ids are not negative");
  return { nextProducerId: record.nextProducerId };
}

export function writeProducerIds(value: ProducerIds): ProducerIdsRecord {
  return create(ProducerIdsRecordSchema, value);
}

function check(holds: boolean, shouldHold: string): void {
  if (!holds) throw new RangeError(`Against the rule that ${shouldHold}`);
}
