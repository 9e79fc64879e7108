import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Offset } from "@tidemark/ids";
import {
  type ListedOffset,
  ListedOffsetSchema,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  ListOffsetsResponseSchema,
  Position,
} from "@tidemark/proto/log/v1";
import { type Codecs, decodeRecords, iterateBatches } from "@tidemark/record";
import { toErrorDetail } from "@tidemark/rpc";
import { fromLogError } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionTable } from "../partition/partition-table.ts";

/** Finds offsets: first, end, or by time. */
export function createListOffsets(table: PartitionTable, codecs: Codecs) {
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
      const found = await firstAtOrAfter(partition, BigInt(Math.ceil(timestampMs(target.value))), codecs);
      if (found === undefined) return create(ListedOffsetSchema, common);
      const timestamp = timestampFromMs(Number(found.timestamp));
      return create(ListedOffsetSchema, { ...common, offset: found.offset, timestamp });
    }
    const offset = target.value === Position.LATEST ? partition.highWatermark : partition.log.logStartOffset;
    return create(ListedOffsetSchema, { ...common, offset });
  }
}

/** The first committed record of this time or later. Reads batch by batch from the log start. */
async function firstAtOrAfter(
  partition: Partition,
  timestamp: bigint,
  codecs: Codecs,
): Promise<{ readonly offset: bigint; readonly timestamp: bigint } | undefined> {
  const upTo = partition.highWatermark;
  let from: Offset = partition.log.logStartOffset;
  while (from < upTo) {
    const { bytes, nextOffset } = await partition.log.read(from, { maxBytes: 2 ** 20, upTo });
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok" || step.header.maxTimestamp < timestamp) continue;
      const decoded = decodeRecords(bytes, step.header, { codecs, maxDecompressedBytes: 128 * 2 ** 20 });
      if (decoded.kind === "failed") continue;
      const isLogTime = step.header.timestampType === "logAppend";
      for (const record of decoded.records) {
        const time = isLogTime ? step.header.maxTimestamp : record.timestamp;
        if (record.offset >= from && time >= timestamp) return { offset: record.offset, timestamp: time };
      }
    }
    if (nextOffset <= from) return undefined;
    from = nextOffset;
  }
  return undefined;
}
