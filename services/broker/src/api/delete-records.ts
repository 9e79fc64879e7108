/**
 * DeleteRecords, for partitions that are led here (L7): the log start moves durably, travels to the followers in the
 * answers to their fetches, and the call is answered when every live replica has stored it. So no election brings back
 * what was deleted.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Offset } from "@tidemark/ids";
import {
  DeletedRecordsSchema,
  type DeleteRecordsPartition,
  type DeleteRecordsRequest,
  type DeleteRecordsResponseSchema,
} from "@tidemark/proto/admin/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type CallContext, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";
import { fromLogError, invalidArgument } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import type { StoredLogStarts } from "../replication/stored-log-starts.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import { checkNamed } from "./named-partitions.ts";

export interface DeleteRecordsOptions {
  readonly table: PartitionLookup;
  readonly runtime: Pick<Runtime, "scheduler">;
  /** Which live replicas of a partition have not stored a log start yet. */
  readonly storedLogStarts: StoredLogStarts;
}

/** How long replicas are left alone between two questions, in milliseconds. */
const pauseMs = 50;

export function createDeleteRecords(options: DeleteRecordsOptions) {
  return async (
    request: DeleteRecordsRequest,
    { signal }: Pick<CallContext, "signal">,
  ): Promise<MessageInitShape<typeof DeleteRecordsResponseSchema>> => {
    const { topic, topicId, partitions } = request;
    const indexes = partitions.map(({ partition }) => partition);
    if (indexes.length === 0) throw invalidArgument("partitions is empty: name those of which records are to go");
    checkNamed(indexes);
    const deleted = partitions.map(async (wanted) => {
      const { partition } = wanted;
      try {
        const logStart = await deleteFrom(options, options.table.find({ topic, topicId, partition }), wanted, signal);
        return create(DeletedRecordsSchema, { partition, logStart });
      } catch (error) {
        const failure = fromLogError(error, { topic, partition });
        if (partitions.length === 1) throw failure;
        return create(DeletedRecordsSchema, { partition, error: toErrorDetail(failure), message: failure.message });
      }
    });
    return { partitions: await Promise.all(deleted) };
  };
}

/** Resolves with the log start that every live replica has stored. */
async function deleteFrom(
  { runtime, storedLogStarts }: DeleteRecordsOptions,
  partition: Partition,
  { beforeOffset }: DeleteRecordsPartition,
  signal: AbortSignal,
): Promise<Offset> {
  const { log, highWatermark } = partition;
  const before = beforeOffset ?? highWatermark;
  if (before < 0n) throw invalidArgument(`before_offset is ${before}; the first offset is 0`);
  if (before > highWatermark) throw aboveHighWatermark(partition, before);
  if (before > log.logStartOffset) await log.moveLogStart(before as Offset);
  const logStart = log.logStartOffset;
  for (;;) {
    const missing = await storedLogStarts.missing(partition, logStart, signal);
    if (missing.length === 0) return logStart;
    try {
      await delay(runtime.scheduler, pauseMs, signal);
    } catch {
      throw notEverywhere(partition, logStart, missing);
    }
    if (!partition.isLed) throw leadershipEnded(partition, logStart);
  }
}

function aboveHighWatermark({ topic, index, highWatermark, log }: Partition, before: bigint): TidemarkError {
  return new TidemarkError({
    reason: Reason.OFFSET_OUT_OF_RANGE,
    message: `${topic}-${index}: records are deleted up to the high watermark, ${highWatermark}, and not to ${before}`,
    topic,
    partition: index,
    highWatermark,
    logStart: log.logStartOffset,
    logEnd: log.logEndOffset,
  });
}

function notEverywhere({ topic, index }: Partition, logStart: bigint, missing: readonly number[]): TidemarkError {
  return new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message: `${topic}-${index} begins at ${logStart} here; broker ${missing.join(", ")} has not stored that yet. Repeat the call`,
    outcome: Outcome.UNKNOWN,
    topic,
    partition: index,
    logStart,
  });
}

function leadershipEnded({ topic, index }: Partition, logStart: bigint): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: `${topic}-${index} begins at ${logStart} here, and another broker leads it now. Repeat the call`,
    outcome: Outcome.UNKNOWN,
    topic,
    partition: index,
  });
}
