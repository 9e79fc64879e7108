import { ElectionType } from "@tidemark/proto/admin/v1";
import { Format, Position } from "@tidemark/proto/log/v1";
import { below, pick } from "@tidemark/runtime";
import type { OperatorContext } from "./operator-context.ts";

/** Something that is asked. It may be refused, as the cluster is in trouble, and changes nothing. */
type Question = (context: OperatorContext) => Promise<unknown>;

const anyTopic = ({ random, plan, pickTopic }: OperatorContext): string =>
  random.next() < 0.5 ? plan.topic : (pickTopic()?.name ?? plan.topic);

const formats = [Format.BYTES, Format.TEXT, Format.BATCHES] as const;

/** First or last offset, or that of a moment of the last seconds, of one partition or of all. */
const listOffsets: Question = async (context) => {
  const { anyLog, random, options, wallMs } = context;
  const ms = wallMs() - below(random, 60_000);
  const timestamp = { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
  const target = pick(random, [
    { case: "position", value: Position.EARLIEST },
    { case: "position", value: Position.LATEST },
    { case: "timestamp", value: timestamp },
    { case: "timestamp", value: timestamp },
  ] as const) ?? { case: undefined };
  const partitions = random.next() < 0.5 ? [0] : [];
  await anyLog().listOffsets(
    { topic: anyTopic(context), partitions, target, linearizable: random.next() < 0.5 },
    options,
  );
};

/** One read, in any form and from anywhere, perhaps of several partitions. */
const fetch: Question = async (context) => {
  const { anyLog, random, options } = context;
  const start = pick(random, [
    { case: "offset", value: BigInt(below(random, 2000)) },
    { case: "position", value: Position.EARLIEST },
    { case: "position", value: Position.LATEST },
  ] as const) ?? { case: undefined };
  const epochs = random.next() < 0.3 ? { leaderEpoch: below(random, 20) } : {};
  const read = random.next() < 0.2 ? { lastReadLeaderEpoch: below(random, 20) } : {};
  const partitions = Array.from({ length: 1 + below(random, 2) }, (_, partition) => ({
    partition,
    start,
    ...epochs,
    ...read,
  }));
  const request = {
    topic: anyTopic(context),
    partitions,
    maxRecords: below(random, 20),
    maxBytes: pick(random, [0, 1, 500, 100_000]) ?? 0,
    minBytes: pick(random, [0, 1, 10_000]) ?? 0,
    maxWaitMs: below(random, 1000),
    format: pick(random, formats) ?? Format.BYTES,
    linearizable: random.next() < 0.3,
  };
  const { next } = await anyLog().fetch(request, options);
  if (next !== undefined && random.next() < 0.5) await anyLog().fetch(next, options);
};

/** Follows a topic for a while with little credit, in any form. */
const subscribe: Question = async (context) => {
  const { anyLog, random, options } = context;
  const request = {
    topic: anyTopic(context),
    partitions: [{ partition: 0, start: { case: "offset" as const, value: BigInt(below(random, 300)) } }],
    format: pick(random, formats) ?? Format.BYTES,
    creditRecords: BigInt(1 + below(random, 50)),
    maxBytes: 1 + below(random, 2000),
  };
  let left = 10;
  for await (const { frame } of anyLog().subscribe(request, options)) {
    if (frame.case === "data") left -= 1;
    if (left === 0) return;
  }
};

/** Follows the tree of the metadata for a while. */
const watchMetadata: Question = async ({ metadata, options }) => {
  let left = 5;
  for await (const { revision } of metadata.watch({ prefix: "/topics" }, options)) {
    if (revision < 0n) throw new Error("a revision is below 0");
    left -= 1;
    if (left === 0) return;
  }
};

const exportMetadata: Question = async ({ metadata, options }) => {
  for await (const { part } of metadata.export({ seal: false }, options)) {
    if (part === "") throw new Error("a part of an export says nothing");
  }
};

/** What a controller asks before an unclean election, and a follower that looks for where logs part. */
const askReplica: Question = async ({ replica, random, options, pickTopic }) => {
  const topic = pickTopic();
  const { topicId } = topic ?? { topicId: unknownId };
  const place = { topicId, partition: below(random, 2) };
  if (random.next() < 0.5) await replica().describeReplica({ partitions: [place] }, options);
  else {
    const epochs = random.next() < 0.5 ? { currentLeaderEpoch: below(random, 10) } : {};
    const questions = [{ ...place, ...epochs, leaderEpoch: below(random, 10) }];
    await replica().endOffsetForLeaderEpoch({ questions }, options);
  }
};

/** An id that no topic has. */
export const unknownId = "00000000-0000-4000-8000-00000000dead";

const validateTopic: Question = ({ admin, random, plan, options }) =>
  admin.createTopic(
    {
      topic: `side-${below(random, 9)}`,
      partitions: 2,
      replicationFactor: plan.replicationFactor,
      validateOnly: true,
    },
    options,
  );

const electEverywhere: Question = ({ admin, random, options }) => {
  const partitions = random.next() < 0.5 ? [] : [0];
  return admin.electLeaders({ type: ElectionType.PREFERRED, partitions }, options);
};

const checks: Question = ({ admin, random, options }) =>
  random.next() < 0.5
    ? admin.describeReceipts({ openOnly: true }, options)
    : admin.describeElections({ limit: 1 + below(random, 5) }, options);

export const questions: readonly Question[] = [
  listOffsets,
  listOffsets,
  fetch,
  fetch,
  subscribe,
  watchMetadata,
  exportMetadata,
  askReplica,
  validateTopic,
  electEverywhere,
  checks,
];
