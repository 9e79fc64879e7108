import { crc32c } from "@tidemark/compression";
import { Acks } from "@tidemark/proto/log/v1";
import { type BatchProducer, encodeBatch } from "@tidemark/record";
import { below } from "@tidemark/runtime";
import type { OperatorContext } from "./operator-context.ts";
import { unknownId } from "./operator-questions.ts";

/** A command that must never be carried out. */
type WrongCommand = (context: OperatorContext) => Promise<unknown>;

const nowhere = 99;
const farAway = 10n ** 12n;

function batchOf(bytes: number, producer?: BatchProducer): Uint8Array {
  const value = new Uint8Array(bytes).fill(120);
  const record = { timestamp: 0n, key: null, value, headers: [] };
  return encodeBatch([record], { crc32c, ...(producer === undefined ? {} : { producer }) });
}

function produce(
  topic: (context: OperatorContext) => object,
  batches: () => Uint8Array,
  acks: Acks = Acks.ALL,
): WrongCommand {
  return (context) =>
    context
      .anyLog()
      .produce(
        { topic: context.plan.topic, partition: 0, acks, batches: batches(), ...topic(context) },
        context.options,
      );
}

const asItIs = () => ({});
const small = () => batchOf(10);
const damaged = () => small().map((byte, index) => (index === 70 ? byte ^ 1 : byte));
const producer: BatchProducer = { id: farAway, epoch: 0, sequence: 7 };

/** Records that a leader must not take. */
const produces = {
  toUnknownTopic: produce(() => ({ topic: "no-such-topic" }), small),
  toForeignTopicId: produce(() => ({ topicId: unknownId }), small),
  toUnknownPartition: produce(() => ({ partition: nowhere }), small),
  nothing: produce(asItIs, () => new Uint8Array(0)),
  noise: produce(asItIs, () => new Uint8Array(100).fill(7)),
  damaged: produce(asItIs, damaged),
  cutShort: produce(asItIs, () => small().subarray(0, 50)),
  tooLarge: produce(asItIs, () => batchOf(20_000)),
  unknownProducer: produce(asItIs, () => batchOf(10, producer)),
  producerWithoutAll: produce(asItIs, () => batchOf(10, producer), Acks.LEADER),
  twoOfOneProducer: produce(asItIs, () => Buffer.concat([batchOf(10, producer), batchOf(10, producer)])),
} as const satisfies Readonly<Record<string, WrongCommand>>;

/** Reads of what is not there. */
const reads = {
  farAway: ({ anyLog, plan: { topic }, options }) =>
    anyLog().fetch({ topic, partitions: [{ partition: 0, start: { case: "offset", value: farAway } }] }, options),
  ofUnknownPartition: ({ anyLog, plan: { topic }, options }) =>
    anyLog().fetch({ topic, partitions: [{ partition: nowhere }] }, options),
  ofForeignTopicId: ({ anyLog, plan: { topic }, options }) =>
    anyLog().fetch({ topic, topicId: unknownId, partitions: [{ partition: 0 }] }, options),
  ofANewerLeaderEpoch: ({ anyLog, plan: { topic }, options }) =>
    anyLog().fetch({ topic, partitions: [{ partition: 0, leaderEpoch: 1_000_000 }] }, options),
  offsetsOfUnknownPartition: ({ anyLog, plan: { topic }, options }) =>
    anyLog().listOffsets({ topic, partitions: [nowhere] }, options),
  explainUnknownPartition: ({ anyLog, plan: { topic }, options }) =>
    anyLog().explainOffset({ topic, partition: nowhere, offset: 0n }, options),
} as const satisfies Readonly<Record<string, WrongCommand>>;

/** Commands to the controller, each with its own mistake. */
const commands = {
  badName: ({ admin, options }) => admin.createTopic({ topic: "not a name!", partitions: 1 }, options),
  existingName: ({ admin, plan: { topic }, options }) => admin.createTopic({ topic, partitions: 1 }, options),
  tooManyReplicas: ({ admin, options }) =>
    admin.createTopic({ topic: "side-9", partitions: 1, replicationFactor: nowhere }, options),
  minIsrAboveReplicas: ({ admin, options }) =>
    admin.createTopic(
      { topic: "side-9", partitions: 1, replicationFactor: 1, settings: { "min.insync.replicas": "2" } },
      options,
    ),
  unknownSetting: ({ admin, options }) =>
    admin.createTopic({ topic: "side-9", partitions: 1, settings: { colour: "blue" } }, options),
  noPartitions: ({ admin, options }) => admin.createTopic({ topic: "side-9", partitions: 0 }, options),
  tooManyPartitions: ({ admin, options }) => admin.createTopic({ topic: "side-9", partitions: 1_000_000 }, options),
  fewerPartitions: ({ admin, plan: { topic }, options }) => admin.addPartitions({ topic, partitions: 1 }, options),
  partitionsOfUnknown: ({ admin, options }) => admin.addPartitions({ topic: "no-such-topic", partitions: 5 }, options),
  configureBadly: ({ admin, plan: { topic }, options }) =>
    admin.configureTopic({ topic, set: { "min.insync.replicas": "0" } }, options),
  configureUnknown: ({ admin, options }) => admin.configureTopic({ topic: "no-such-topic", set: {} }, options),
  deleteForeign: ({ admin, plan: { topic }, options }) => admin.deleteTopic({ topic, topicId: unknownId }, options),
  deleteUnknown: ({ admin, options }) => admin.deleteTopic({ topic: "no-such-topic" }, options),
  deleteRecordsBeyond: ({ admin, plan: { topic }, options }) =>
    admin.deleteRecords({ topic, partitions: [{ partition: 0, beforeOffset: farAway }] }, options),
  deleteRecordsNowhere: ({ admin, plan: { topic }, options }) =>
    admin.deleteRecords({ topic, partitions: [{ partition: nowhere, beforeOffset: 0n }] }, options),
  unregisterUnknown: ({ admin, options }) => admin.unregisterBroker({ brokerId: nowhere }, options),
  removeNoVoter: ({ metadata, options }) =>
    metadata.removeVoter({ controllerId: nowhere, directoryId: unknownId }, options),
} as const satisfies Readonly<Record<string, WrongCommand>>;

/** What no broker of the cluster would say to a controller. */
const sessions = {
  registerElsewhere: ({ cluster, options }) =>
    cluster().register({ brokerId: 1, clusterId: unknownId, incarnationId: unknownId }, options),
  alterWithOldBrokerEpoch: ({ cluster, plan, random, options }) => {
    const item = { topicId: unknownId, partition: 0, leaderEpoch: 0, partitionEpoch: 0, isr: [] };
    const brokerId = 1 + below(random, plan.brokers.length);
    return cluster().alterPartition({ brokerId, brokerEpoch: 0, partitions: [item] }, options);
  },
  producerIdsWithOldBrokerEpoch: ({ cluster, options }) =>
    cluster().allocateProducerIds({ brokerId: 1, brokerEpoch: 0 }, options),
} as const satisfies Readonly<Record<string, WrongCommand>>;

/** By name, for reports. */
export const wrongCommands: readonly (readonly [string, WrongCommand])[] = Object.entries<WrongCommand>({
  ...produces,
  ...reads,
  ...commands,
  ...sessions,
});
