/** What people are told about an image: the answers of `AdminService`. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BrokerDescription,
  BrokerDescriptionSchema,
  type DescribeClusterResponse,
  type DescribeTopicsResponse,
  DescribeTopicsResponseSchema,
  type PartitionDescription,
  PartitionDescriptionSchema,
  type Receipt as ReceiptDescription,
  ReceiptSchema,
  type TopicDescription,
  TopicDescriptionSchema,
  type TopicListing,
  TopicListingSchema,
} from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { unknownTopic } from "./create-topic.ts";
import { type Decision, decided, refused } from "./decision.ts";
import { eachPartition, findTopic, findTopicById, listPartitions, listTopics, type MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Partition, Receipt, Replica, Topic } from "./model.ts";
import { valuesOf } from "./persistent-map.ts";
import { writeState } from "./records.ts";

/** What an answer may weigh: stubs of every language refuse 4 MiB. */
const answerBytesMax = 3.5 * 2 ** 20;

/** Describes the topics of these names, in their order; all where none is named. Refused: an unknown one, too many. */
export function describeTopics(image: MetadataImage, names: readonly string[]): Decision<DescribeTopicsResponse> {
  const topics: TopicDescription[] = [];
  for (const name of [...new Set(names)].sort()) {
    const topic = findTopic(image, name);
    if (topic === undefined) return unknownTopic(name);
    topics.push(describeTopic(image, topic));
  }
  if (names.length === 0) topics.push(...listTopics(image).map((topic) => describeTopic(image, topic)));
  const response = create(DescribeTopicsResponseSchema, { topics });
  const bytes = toBinary(DescribeTopicsResponseSchema, response).length;
  if (bytes <= answerBytesMax) return decided(response);
  const message = `topics: the description of ${topics.length} topics has ${bytes} bytes; name fewer`;
  return refused(Reason.INVALID_ARGUMENT, message);
}

export function describeTopic(image: MetadataImage, topic: Topic): TopicDescription {
  return create(TopicDescriptionSchema, {
    name: topic.name,
    topicId: topic.topicId,
    replicationFactor: topic.replicationFactor,
    settings: Object.fromEntries(topic.settings),
    partitions: listPartitions(image, topic.topicId).map((partition) => describePartition(image, partition)),
  });
}

function describePartition(image: MetadataImage, partition: Partition): PartitionDescription {
  const liveness = livenessOf(image.sessions);
  const { leader, replicas } = partition;
  const init: MessageInitShape<typeof PartitionDescriptionSchema> = {
    partition: partition.partition,
    leaderEpoch: partition.leaderEpoch,
    partitionEpoch: partition.partitionEpoch,
    replicas: replicas.map((replica) => replica.brokerId),
    isr: [...partition.isr],
    elr: [...partition.elr],
    offline: replicas.filter((replica) => !liveness.mayStay(replica)).map((replica) => replica.brokerId),
    minIsr: partition.minIsr,
    recovering: partition.recovering,
    ...(partition.regressedFrom === undefined ? {} : { regressedFrom: partition.regressedFrom }),
    damaged: replicas.filter((replica) => replica.damagedIn !== undefined).map((replica) => replica.brokerId),
    notServed: replicas.filter((replica) => isNotServed(image, replica)).map((replica) => replica.brokerId),
  };
  return create(PartitionDescriptionSchema, leader === undefined ? init : { ...init, leader });
}

/** Whether its broker lives and says that it cannot serve it. */
function isNotServed({ sessions }: MetadataImage, { brokerId, offlineIn }: Replica): boolean {
  return offlineIn !== undefined && sessions.get(brokerId)?.brokerEpoch === offlineIn;
}

/** Receipts of unclean elections, by topic and partition; those of topics that are gone are not told. */
export function describeReceipts(
  image: MetadataImage,
  wanted: (receipt: Receipt, topic: Topic) => boolean,
): readonly ReceiptDescription[] {
  const found: { readonly topic: Topic; readonly receipt: Receipt }[] = [];
  for (const receipt of valuesOf(image.receipts)) {
    const topic = findTopicById(image, receipt.topicId);
    if (topic !== undefined && wanted(receipt, topic)) found.push({ topic, receipt });
  }
  return found
    .sort((a, b) => compare(a.topic.name, b.topic.name) || a.receipt.partition - b.receipt.partition)
    .map(({ topic, receipt }) => describeReceipt(topic, receipt));
}

export function describeReceipt(topic: Pick<Topic, "name">, receipt: Receipt): ReceiptDescription {
  const { timeMs, ...rest } = receipt;
  return create(ReceiptSchema, {
    ...rest,
    topic: topic.name,
    positions: receipt.positions.map((position) => ({ ...position })),
    cuts: receipt.cuts.map((cut) => ({ ...cut })),
    awaited: [...receipt.awaited],
    time: timestampFromMs(timeMs),
  });
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Topics in the order of their names. */
export function describeTopicList(image: MetadataImage): readonly TopicListing[] {
  return listTopics(image).map(({ name, topicId, partitions, replicationFactor }) =>
    create(TopicListingSchema, { name, topicId, partitions, replicationFactor }),
  );
}

/** Every broker that has a session or ever had one, in the order of the ids. */
export function describeBrokers(image: MetadataImage): readonly BrokerDescription[] {
  const leaders = new Map<number, number>();
  const replicas = new Map<number, number>();
  const offline = new Map<number, number>();
  const liveness = livenessOf(image.sessions);
  const count = (counts: Map<number, number>, id: number) => counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const { partition } of eachPartition(image)) {
    if (partition.leader !== undefined) count(leaders, partition.leader);
    for (const replica of partition.replicas) {
      count(replicas, replica.brokerId);
      if (!liveness.mayStay(replica)) count(offline, replica.brokerId);
    }
  }
  const ids = [...new Set([...image.knownBrokers.keys(), ...image.sessions.keys()])].sort((a, b) => a - b);
  return ids.map((brokerId) => {
    const session = image.sessions.get(brokerId);
    const counts = {
      brokerId,
      leaders: leaders.get(brokerId) ?? 0,
      replicas: replicas.get(brokerId) ?? 0,
      offlineReplicas: offline.get(brokerId) ?? 0,
    };
    if (session === undefined) {
      const brokerEpoch = image.knownBrokers.get(brokerId)?.brokerEpoch ?? 0;
      return create(BrokerDescriptionSchema, { ...counts, brokerEpoch, alive: false });
    }
    return create(BrokerDescriptionSchema, {
      ...counts,
      brokerEpoch: session.brokerEpoch,
      alive: true,
      state: writeState(session.state),
      endpoints: session.endpoints.map(({ listener, host, port }) => ({ listener, host, port })),
      rack: session.rack,
    });
  });
}

/** The counts of a cluster's description. */
export function describeHealth(
  image: MetadataImage,
): Pick<
  DescribeClusterResponse,
  | "topics"
  | "partitions"
  | "offlinePartitions"
  | "underReplicatedPartitions"
  | "underMinIsrPartitions"
  | "regressedPartitions"
> {
  const counts = {
    partitions: 0,
    offlinePartitions: 0,
    underReplicatedPartitions: 0,
    underMinIsrPartitions: 0,
    regressedPartitions: 0,
  };
  for (const { partition } of eachPartition(image)) {
    counts.partitions += 1;
    if (partition.leader === undefined) counts.offlinePartitions += 1;
    if (partition.isr.length < partition.replicas.length) counts.underReplicatedPartitions += 1;
    if (partition.isr.length < partition.minIsr) counts.underMinIsrPartitions += 1;
    if (partition.regressedFrom !== undefined) counts.regressedPartitions += 1;
  }
  return { topics: image.topicIds.size, ...counts };
}
