/** Reading requests: what a field cannot be is refused with its name before any command is made of it. */
import {
  type BrokerEpoch,
  type BrokerId,
  brokerEpoch,
  brokerId,
  type DirectoryId,
  directoryId,
  type LeaderEpoch,
  leaderEpoch,
  type Offset,
  offset,
  type PartitionEpoch,
  type PartitionIndex,
  partitionEpoch,
  partitionIndex,
  type TopicId,
  topicId,
} from "@tidemark/ids";
import type { Endpoint, ReplicaId, ReportedTruncation, SeenState } from "@tidemark/metadata";
import type { RegressedReplica, Truncation } from "@tidemark/proto/cluster/v1";
import { invalidArgument } from "../errors.ts";

export function readBroker(request: { readonly brokerId: number; readonly brokerEpoch: number }): {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
} {
  return {
    brokerId: read("broker_id", () => brokerId(request.brokerId)),
    brokerEpoch: readBrokerEpoch(request.brokerEpoch),
  };
}

export function readBrokerEpoch(value: number): BrokerEpoch {
  return read("broker_epoch", () => brokerEpoch(value));
}

export function readReplicaId(value: { readonly topicId: string; readonly partition: number }): ReplicaId {
  return { topicId: readTopicId(value.topicId), partition: readPartition(value.partition) };
}

export function readTruncation(value: Truncation): ReportedTruncation {
  return {
    ...readReplicaId(value),
    leaderEpoch: readLeaderEpoch(value.leaderEpoch),
    firstOffset: readOffset("first_offset", value.firstOffset),
    logEnd: readOffset("log_end", value.logEnd),
  };
}

export function readSeenState(value: RegressedReplica): SeenState {
  return {
    ...readReplicaId(value),
    leaderEpoch: readLeaderEpoch(value.leaderEpoch),
    partitionEpoch: value.partitionEpoch === undefined ? undefined : readPartitionEpoch(value.partitionEpoch),
  };
}

export function readOffset(field: string, value: bigint): Offset {
  return read(field, () => offset(value));
}

export function readBrokerId(value: number): BrokerId {
  return read("broker_id", () => brokerId(value));
}

export function readDirectoryIds(values: readonly string[]): readonly DirectoryId[] {
  return values.map((value) => read("directory_ids", () => directoryId(value)));
}

export function readTopicId(value: string): TopicId {
  return read("topic_id", () => topicId(value));
}

export function readPartition(value: number): PartitionIndex {
  return read("partition", () => partitionIndex(value));
}

export function readLeaderEpoch(value: number): LeaderEpoch {
  return read("leader_epoch", () => leaderEpoch(value));
}

function readPartitionEpoch(value: number): PartitionEpoch {
  return read("partition_epoch", () => partitionEpoch(value));
}

export function readEndpoint({ listener, host, port }: Endpoint): Endpoint {
  if (listener === "" || host === "") throw invalidArgument("endpoints: each has a listener's name and a host");
  if (port < 1 || port > 65535) throw invalidArgument(`endpoints: a port is 1 to 65535, not ${port}`);
  return { listener, host, port };
}

export function readUuid(field: string, value: string): string {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(value)) return value;
  throw invalidArgument(`${field}: a UUID in lower case, not ${JSON.stringify(value)}`);
}

function read<Value>(field: string, make: () => Value): Value {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw invalidArgument(`${field}: ${error.message}`);
    throw error;
  }
}
