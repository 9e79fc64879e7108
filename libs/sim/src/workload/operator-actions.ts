import { TidemarkError } from "@tidemark/client";
import { ElectionType } from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { below, pick } from "@tidemark/runtime";
import type { OperatorContext } from "./operator-context.ts";
import { questions } from "./operator-questions.ts";
import { isKeyed, mayBeGone, sideKinds, sideSettings } from "./side-topics.ts";
import { wrongCommands } from "./wrong-commands.ts";

/** Rejects as the call does that it is. */
type Action = (context: OperatorContext) => Promise<unknown>;

const topicsMax = 4;
const partitionsMax = 4;
const keys = 8;

/** Fresh numbers, and at times the name of a topic that was deleted (case 27). */
const createTopic: Action = async ({ admin, random, plan, sideTopics, options, nextNumber }) => {
  if (sideTopics.all.length >= topicsMax) return;
  const kind = pick(random, sideKinds) ?? "plain";
  const name = `side-${random.next() < 0.5 ? nextNumber() : 1 + below(random, 3)}`;
  const partitions = 1 + below(random, 2);
  const { replicationFactor } = plan;
  const settings = sideSettings[kind];
  const { topic } = await admin.createTopic({ topic: name, partitions, replicationFactor, settings }, options);
  if (topic !== undefined) sideTopics.add({ name, topicId: topic.topicId, kind, partitions });
};

const deleteTopic: Action = async ({ admin, sideTopics, options, pickTopic }) => {
  const topic = pickTopic();
  if (topic === undefined) return;
  sideTopics.forget(topic);
  await admin.deleteTopic({ topic: topic.name, topicId: topic.topicId }, options);
};

const addPartitions: Action = async ({ admin, options, pickTopic }) => {
  const topic = pickTopic();
  if (topic === undefined || topic.partitions >= partitionsMax) return;
  await admin.addPartitions({ topic: topic.name, partitions: topic.partitions + 1 }, options);
  topic.partitions += 1;
};

const alterTopic: Action = async ({ admin, random, plan, options, pickTopic }) => {
  const topic = pickTopic();
  if (topic === undefined) return;
  const least = mayBeGone(topic.kind) ? 1 : Math.min(2, plan.replicationFactor);
  const minIsr = least + below(random, plan.replicationFactor - least + 1);
  const set = { "min.insync.replicas": String(minIsr), "max.message.bytes": String(8192 + below(random, 8192)) };
  const unset = random.next() < 0.3 ? ["segment.ms"] : [];
  await admin.configureTopic({ topic: topic.name, set, unset }, options);
};

const feed: Action = async ({ producer: pickProducer, random, sideTopics, pickTopic, nextNumber }) => {
  const topic = pickTopic();
  if (topic === undefined) return;
  const partition = below(random, topic.partitions);
  const producer = pickProducer();
  const keyOf = () => (isKeyed(topic.kind) ? `k${below(random, keys)}` : undefined);
  const records = Array.from({ length: 1 + below(random, 30) }, () => ({
    key: keyOf(),
    value: `${nextNumber()}|${"x".repeat(below(random, 400))}`,
  }));
  const encoder = new TextEncoder();
  // Delete markers, of keys that nothing is promised of.
  if (isKeyed(topic.kind) && random.next() < 0.5) {
    const gone = { partition, key: encoder.encode(`gone ${below(random, keys)}`), value: null };
    producer.send(topic.name, gone).catch(() => undefined);
  }
  const sent = records.map(async ({ key, value }) => {
    const encoded = { value: encoder.encode(value), ...(key === undefined ? {} : { key: encoder.encode(key) }) };
    const outcome = await producer.send(topic.name, { partition, ...encoded });
    // A topic of the same name may have taken its place meanwhile.
    if (outcome.kind !== "acknowledged" || outcome.offset === undefined || !sideTopics.all.includes(topic)) return;
    sideTopics.acknowledged(topic, partition, { offset: outcome.offset, key, value });
  });
  await Promise.all(sent);
};

const deleteRecords: Action = async ({ admin, log, random, sideTopics, options, pickTopic }) => {
  const topic = pickTopic();
  if (topic === undefined) return;
  const partition = below(random, topic.partitions);
  const { logs } = await log.describeLog({ topic: topic.name, partitions: [partition] }, options);
  let committed = 0n;
  for (const { highWatermark = 0n } of logs) if (highWatermark > committed) committed = highWatermark;
  const beforeOffset = (committed * BigInt(below(random, 100))) / 100n;
  sideTopics.deleting(topic, partition, beforeOffset);
  const { name, topicId } = topic;
  await admin.deleteRecords({ topic: name, topicId, partitions: [{ partition, beforeOffset }] }, options);
};

const electPreferred: Action = ({ admin, random, plan, options, pickTopic }) => {
  const topic = random.next() < 0.5 ? plan.topic : (pickTopic()?.name ?? "");
  return admin.electLeaders({ type: ElectionType.PREFERRED, topic }, options);
};

/** Only where records may be lost. */
const electUnclean: Action = async ({ admin, options, pickTopic }) => {
  const topic = pickTopic();
  if (topic?.kind !== "unclean" && topic?.kind !== "loose") return;
  await admin.electLeaders({ type: ElectionType.UNCLEAN, topic: topic.name }, options);
};

const describe: Action = async ({ admin, log, metadata, random, plan, options, pickTopic }) => {
  const topic = random.next() < 0.5 ? plan.topic : (pickTopic()?.name ?? plan.topic);
  const calls: readonly (() => Promise<unknown>)[] = [
    () => admin.describeTopics({ topics: [topic] }, options),
    () => admin.listTopics({}, options),
    () => admin.describeCluster({}, options),
    () => admin.listBrokers({}, options),
    () => admin.describeElections({ topic }, options),
    () => admin.describeReceipts({ topic }, options),
    () => log.describeLog({ topic }, options),
    () => log.explainOffset({ topic, partition: 0, offset: BigInt(below(random, 500)) }, options),
    () => log.listOffsets({ topic, linearizable: random.next() < 0.5 }, options),
    () => metadata.list({ prefix: "/topics" }, options),
    () => metadata.get({ key: "/controller" }, options),
    () => metadata.describeQuorum({}, options),
  ];
  await pick(random, calls)?.();
};

/** One request with one answer, as people send it, of records that nobody looks for later. */
const produceByHand: Action = async ({ log, random, options, pickTopic, nextNumber }) => {
  const topic = pickTopic();
  if (topic === undefined) return;
  const value = `${nextNumber()}|by hand`;
  const acks = pick(random, [Acks.ALL, Acks.LEADER, Acks.NONE]) ?? Acks.ALL;
  const records = [{ keyForm: { case: "keyText", value: "by hand" }, valueForm: { case: "text", value } }] as const;
  await log.produce({ topic: topic.name, partition: 0, acks, records: [...records] }, options);
};

/** Follows a topic for a while, from its beginning. */
const subscribe: Action = async ({ log, random, plan, options, pickTopic }) => {
  const topic = random.next() < 0.5 ? plan.topic : (pickTopic()?.name ?? plan.topic);
  let left = 20;
  for await (const { frame } of log.subscribe({ topic, partitions: [{ partition: 0 }] }, options)) {
    if (frame.case === undefined) throw new Error("a frame of a subscription says nothing");
    left -= 1;
    if (left === 0) return;
  }
};

const transferController: Action = ({ metadata, options }) => metadata.transferController({}, options);

const ask: Action = async (context) => pick(context.random, questions)?.(context);

/** Whatever the state of the cluster, it is refused. */
const commandWrongly: Action = async (context) => {
  const [name, wrong] = pick(context.random, wrongCommands) ?? ["nothing", () => Promise.resolve()];
  try {
    await wrong(context);
  } catch (error) {
    if (!(error instanceof TidemarkError) || error.reason === Reason.INTERNAL) throw error;
    return;
  }
  context.reportCarriedOut(name);
};

/** By name, for reports; what is there twice comes twice as often. */
export const operatorActions: readonly (readonly [string, Action])[] = [
  ["createTopic", createTopic],
  ["createTopic", createTopic],
  ["feed", feed],
  ["feed", feed],
  ["feed", feed],
  ["addPartitions", addPartitions],
  ["alterTopic", alterTopic],
  ["deleteRecords", deleteRecords],
  ["deleteTopic", deleteTopic],
  ["electPreferred", electPreferred],
  ["electUnclean", electUnclean],
  ["describe", describe],
  ["describe", describe],
  ["produceByHand", produceByHand],
  ["subscribe", subscribe],
  ["transferController", transferController],
  ["ask", ask],
  ["ask", ask],
  ["ask", ask],
  ["commandWrongly", commandWrongly],
  ["commandWrongly", commandWrongly],
  ["commandWrongly", commandWrongly],
];
