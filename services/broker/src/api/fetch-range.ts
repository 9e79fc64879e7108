import { Reason } from "@tidemark/proto/common/v1";
import { type FetchPartition, Position } from "@tidemark/proto/log/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Partition } from "../partition/partition.ts";

/** The offset that a fetch begins at. A named place is looked up now. */
export function startOffset(partition: Partition, start: FetchPartition["start"]): bigint {
  if (start.case === "offset") return start.value;
  return start.value === Position.LATEST ? partition.highWatermark : partition.log.logStartOffset;
}

/**
 * Refuses an offset that cannot exist, and a caller that saw another leader epoch (R1). Between the high watermark and
 * the log end a fetch waits.
 */
export function checkFetch(partition: Partition, offset: bigint, leaderEpoch: number | undefined): void {
  const { log, topic, index } = partition;
  const where = { topic, partition: index };
  if (leaderEpoch !== undefined && leaderEpoch > partition.leaderEpoch) {
    throw new TidemarkError({
      reason: Reason.UNKNOWN_LEADER_EPOCH,
      message: `Leader epoch ${leaderEpoch} of ${topic}-${index} is not known here yet; ${partition.leaderEpoch} is`,
      ...where,
    });
  }
  if (offset >= log.logStartOffset && offset <= log.logEndOffset) return;
  throw new TidemarkError({
    reason: Reason.OFFSET_OUT_OF_RANGE,
    message:
      `Offset ${offset} of ${topic}-${index} does not exist: ` +
      `the log has ${log.logStartOffset} to ${log.logEndOffset}, readable below ${partition.highWatermark}`,
    logStart: log.logStartOffset,
    logEnd: log.logEndOffset,
    highWatermark: partition.highWatermark,
    ...where,
  });
}
