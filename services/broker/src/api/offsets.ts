import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { shownTimestamp } from "@tidemark/format";
import {
  type ListedOffset,
  ListedOffsetSchema,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  ListOffsetsResponseSchema,
  Position,
} from "@tidemark/proto/log/v1";
import { type CallContext, toErrorDetail } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import { fromLogError } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import { askLatest } from "./fetch-target.ts";
import { checkNamed } from "./named-partitions.ts";

/** How long the controller may take to confirm a leader where the call has no deadline, in milliseconds. */
const confirmTimeoutMs = 30_000;

/** Finds offsets: first, end, or by time. What is not committed does not exist here (R3). */
export function createListOffsets(table: PartitionLookup, clock: Clock) {
  return async (request: ListOffsetsRequest, context: CallContext): Promise<ListOffsetsResponse> => {
    const { topic, topicId } = request;
    checkNamed(request.partitions);
    const all = Array.from({ length: table.partitionCount(topic) }, (_, index) => index);
    const asked = request.partitions.length > 0 ? request.partitions : all;
    const deadlineMs = clock.monotonicMs() + (context.timeoutMs() ?? confirmTimeoutMs);
    const offsets = await Promise.all(
      asked.map(async (partition) => {
        try {
          return await find(table.find({ topic, topicId, partition }), request, deadlineMs);
        } catch (error) {
          const failure = fromLogError(error, { topic, partition });
          if (asked.length === 1) throw failure;
          return create(ListedOffsetSchema, { partition, error: toErrorDetail(failure), message: failure.message });
        }
      }),
    );
    return create(ListOffsetsResponseSchema, { offsets });
  };
}

async function find(
  partition: Partition,
  { target, linearizable }: ListOffsetsRequest,
  deadlineMs: number,
): Promise<ListedOffset> {
  const isEarliest = target.case !== "timestamp" && target.value !== Position.LATEST;
  if (isEarliest && !linearizable) {
    const { index, leaderEpoch, log } = partition;
    return create(ListedOffsetSchema, { partition: index, leaderEpoch, offset: log.logStartOffset });
  }
  const latest = await askLatest(partition, { seenLeaderEpoch: undefined, linearizable, deadlineMs });
  const common = { partition: partition.index, leaderEpoch: latest.leaderEpoch };
  if (target.case === "timestamp") {
    const found = await partition.log.offsetForTimestamp(BigInt(Math.ceil(timestampMs(target.value))));
    if (found === undefined || found.offset >= latest.offset) return create(ListedOffsetSchema, common);
    const timestamp = shownTimestamp(found.timestamp);
    return create(ListedOffsetSchema, {
      ...common,
      offset: found.offset,
      ...(timestamp !== undefined && { timestamp }),
    });
  }
  return create(ListedOffsetSchema, {
    ...common,
    offset: isEarliest ? partition.log.logStartOffset : latest.offset,
  });
}
