import { create } from "@bufbuild/protobuf";
import type { BrokerId } from "@tidemark/ids";
import {
  type DescribeLogRequest,
  type DescribeLogResponse,
  DescribeLogResponseSchema,
  type ExplainOffsetRequest,
  type ExplainOffsetResponse,
  ExplainOffsetResponseSchema,
  type LogDescription,
  LogDescriptionSchema,
  OffsetState,
} from "@tidemark/proto/log/v1";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Partition } from "../partition/partition.ts";
import type { PartitionTable } from "../partition/partition-table.ts";

/** How the logs of a topic stand here. */
export function createDescribeLog(table: PartitionTable, brokerId: BrokerId) {
  return (request: DescribeLogRequest): DescribeLogResponse => {
    const { topic, topicId } = request;
    table.partitionCount(topic);
    const asked = request.partitions.length > 0 ? request.partitions : table.ledOf(topic);
    const logs = asked.map((partition) => {
      try {
        return describe(table.find({ topic, topicId, partition }), brokerId);
      } catch (error) {
        if (!(error instanceof TidemarkError) || asked.length === 1) throw error;
        return create(LogDescriptionSchema, { partition, error: toErrorDetail(error), message: error.message });
      }
    });
    return create(DescribeLogResponseSchema, { logs });
  };
}

function describe(partition: Partition, broker: BrokerId): LogDescription {
  const { log } = partition;
  return create(LogDescriptionSchema, {
    partition: partition.index,
    broker,
    logStart: log.logStartOffset,
    highWatermark: partition.highWatermark,
    logEnd: log.logEndOffset,
    flushed: log.flushedOffset,
    sizeBytes: BigInt(log.sizeInBytes),
    segments: log.segmentCount,
    leaderEpoch: partition.leaderEpoch,
    directoryId: "",
  });
}

/** Why an offset is, or is not, committed. */
export function createExplainOffset(table: PartitionTable, brokerId: BrokerId) {
  return (request: ExplainOffsetRequest): ExplainOffsetResponse => {
    const partition = table.find({ topic: request.topic, topicId: "", partition: request.partition });
    const { log, highWatermark } = partition;
    return create(ExplainOffsetResponseSchema, {
      ...explain(partition, request.offset),
      highWatermark,
      logEnd: log.logEndOffset,
      logStart: log.logStartOffset,
      replicas: [{ broker: brokerId, inSync: true, flushed: log.flushedOffset }],
      minIsr: 1,
      leaderEpoch: partition.leaderEpoch,
    });
  };
}

function explain(
  { log, highWatermark }: Partition,
  offset: bigint,
): { readonly state: OffsetState; readonly explanation: string } {
  if (offset < log.logStartOffset) {
    return { state: OffsetState.REMOVED, explanation: `The log begins at ${log.logStartOffset}: it was removed.` };
  }
  if (offset >= log.logEndOffset) {
    return {
      state: OffsetState.NOT_APPENDED,
      explanation: `The log ends at ${log.logEndOffset}: nothing is there yet.`,
    };
  }
  if (offset < highWatermark) {
    return {
      state: OffsetState.COMMITTED,
      explanation: "It is below the high watermark: flushed on every in-sync replica.",
    };
  }
  return {
    state: OffsetState.UNCOMMITTED,
    explanation: `The leader, which is the only replica, has flushed up to ${log.flushedOffset} and not yet this offset.`,
  };
}
