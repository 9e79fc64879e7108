import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ListedOffset,
  ListedOffsetSchema,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  ListOffsetsResponseSchema,
  Position,
} from "@tidemark/proto/log/v1";
import { toErrorDetail } from "@tidemark/rpc";
import { fromLogError } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionTable } from "../partition/partition-table.ts";

/** Finds offsets: first, end, or by time. */
export function createListOffsets(table: PartitionTable) {
  return async (request: ListOffsetsRequest): Promise<ListOffsetsResponse> => {
    const { topic, topicId } = request;
    const all = Array.from({ length: table.partitionCount(topic) }, (_, index) => index);
    const asked = request.partitions.length > 0 ? request.partitions : all;
    const offsets: ListedOffset[] = [];
    for (const partition of asked) {
      try {
        offsets.push(await find(table.find({ topic, topicId, partition }), request.target));
      } catch (error) {
        const failure = fromLogError(error, { topic, partition });
        if (asked.length === 1) throw failure;
        offsets.push(
          create(ListedOffsetSchema, { partition, error: toErrorDetail(failure), message: failure.message }),
        );
      }
    }
    return create(ListOffsetsResponseSchema, { offsets });
  };

  async function find(partition: Partition, target: ListOffsetsRequest["target"]): Promise<ListedOffset> {
    const common = { partition: partition.index, leaderEpoch: partition.leaderEpoch };
    if (target.case === "timestamp") {
      const found = await partition.log.offsetForTimestamp(BigInt(Math.ceil(timestampMs(target.value))));
      // What is not committed does not exist for consumers.
      if (found === undefined || found.offset >= partition.highWatermark) return create(ListedOffsetSchema, common);
      const timestamp = timestampFromMs(Number(found.timestamp));
      return create(ListedOffsetSchema, { ...common, offset: found.offset, timestamp });
    }
    const offset = target.value === Position.LATEST ? partition.highWatermark : partition.log.logStartOffset;
    return create(ListedOffsetSchema, { ...common, offset });
  }
}
