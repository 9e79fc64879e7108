import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BrokerId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type DescribeReplicaRequest,
  type DescribeReplicaResponseSchema,
  type EndOffsetForLeaderEpochRequest,
  type EndOffsetForLeaderEpochResponseSchema,
  type LeaderEpochEndSchema,
  type LeaderEpochQuestion,
  ReplicaCondition,
  type ReplicaDescriptionSchema,
} from "@tidemark/proto/replica/v1";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { invalidArgument } from "../../errors.ts";
import { questionsMax } from "../limits.ts";
import { type ReplicaInspection, standingOf } from "../replica-inspection.ts";
import { readLeaderEpoch, readPartition } from "./fetch-request.ts";

/** Answers DescribeReplica. Throws REASON_INVALID_ARGUMENT for partitions that cannot be, and for too many. */
export function createDescribeReplica(inspection: ReplicaInspection, brokerId: BrokerId) {
  return ({ partitions }: DescribeReplicaRequest): MessageInitShape<typeof DescribeReplicaResponseSchema> => {
    limitQuestions(partitions.length);
    const asked = partitions.length === 0 ? inspection.replicas() : partitions.map(readPartition);
    const brokerEpoch = inspection.brokerEpoch();
    return {
      brokerId,
      replicas: asked.map((replica) => ({ ...replica, ...describe(standingOf(inspection, replica)) })),
      ...(brokerEpoch === undefined ? {} : { brokerEpoch }),
    };
  };
}

/** Answers EndOffsetForLeaderEpoch, each question for itself. Throws REASON_INVALID_ARGUMENT as DescribeReplica does. */
export function createLeaderEpochEnds(inspection: ReplicaInspection, brokerId: BrokerId) {
  return ({
    questions,
  }: EndOffsetForLeaderEpochRequest): MessageInitShape<typeof EndOffsetForLeaderEpochResponseSchema> => {
    limitQuestions(questions.length);
    return { ends: questions.map((question) => endOf(question)) };
  };

  function endOf(question: LeaderEpochQuestion): MessageInitShape<typeof LeaderEpochEndSchema> {
    const replica = readPartition(question);
    const asked = readLeaderEpoch(question.leaderEpoch);
    const refused = inspection.isForeign(replica)
      ? unknownTopicId(question)
      : refusalOf(question, inspection.ledIn(replica), brokerId);
    if (refused !== undefined) return { ...replica, error: toErrorDetail(refused) };
    const log = inspection.log(replica);
    // Of an epoch that is newer than all that the log knows, everything is older.
    const end = log?.endOffsetFor(asked);
    if (end !== undefined) return { ...replica, ...end };
    const leaderEpoch = log?.latestLeaderEpoch;
    return {
      ...replica,
      endOffset: log?.logEndOffset ?? 0n,
      ...(leaderEpoch === undefined ? {} : { leaderEpoch }),
    };
  }
}

function unknownTopicId({ topicId, partition }: LeaderEpochQuestion): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_TOPIC_ID,
    message: `There is no topic with the id ${topicId}`,
    partition,
  });
}

function refusalOf(
  { currentLeaderEpoch, partition }: LeaderEpochQuestion,
  ledIn: number | undefined,
  brokerId: BrokerId,
): TidemarkError | undefined {
  const refuse = (reason: Reason, message: string) => new TidemarkError({ reason, message, partition });
  if (ledIn === undefined) return refuse(Reason.NOT_LEADER, `Broker ${brokerId} does not lead the partition`);
  if (currentLeaderEpoch === undefined || currentLeaderEpoch === ledIn) return undefined;
  return currentLeaderEpoch < ledIn
    ? refuse(Reason.FENCED_LEADER_EPOCH, `The leader epoch is ${ledIn}, newer than ${currentLeaderEpoch}`)
    : refuse(Reason.UNKNOWN_LEADER_EPOCH, `The leader epoch known here is ${ledIn}, older than ${currentLeaderEpoch}`);
}

function limitQuestions(count: number): void {
  if (count > questionsMax) throw invalidArgument(`A call asks about at most ${questionsMax} partitions`);
}

function describe(standing: ReturnType<typeof standingOf>): MessageInitShape<typeof ReplicaDescriptionSchema> {
  switch (standing.kind) {
    case "online": {
      const { lastLeaderEpoch, logStart, storedLogStart, logEnd, flushed, highWatermark } = standing;
      const offsets = { logStart, storedLogStart, logEnd, flushed, highWatermark };
      const condition = ReplicaCondition.ONLINE;
      const { regressedFrom } = standing;
      return {
        condition,
        ...offsets,
        ...(lastLeaderEpoch === undefined ? {} : { lastLeaderEpoch }),
        ...(regressedFrom === undefined ? {} : { regressedFrom }),
      };
    }
    case "offline":
      return { condition: ReplicaCondition.OFFLINE, damage: standing.damage };
    case "absent":
      return { condition: ReplicaCondition.ABSENT };
  }
}
