import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { type FetchPartition, type FetchRequest, Position } from "@tidemark/proto/log/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { LatestOutcome, LatestRequest, Partition, ReadRequest } from "../partition/partition.ts";
import type { PartitionLookup } from "../table/partition-table.ts";

/** One partition of a fetch: where to read, or why not. */
export type FetchTarget =
  | ReadTarget
  | { readonly kind: "failed"; readonly asked: FetchPartition; readonly error: TidemarkError };

export interface ReadTarget {
  readonly kind: "read";
  readonly asked: FetchPartition;
  readonly partition: Partition;
  readonly request: Omit<ReadRequest, "deadlineMs">;
  /** The leader epoch that the controller confirmed, where the fetch is linearizable: what is read in another fails. */
  readonly confirmedIn: LeaderEpoch | undefined;
}

/**
 * Finds the partition and the offset to begin at. A named place is looked up now; a linearizable fetch asks the
 * controller first, and everything committed before it arrived is below the high watermark then (P9).
 */
export async function resolveTarget(
  table: PartitionLookup,
  request: FetchRequest,
  { asked, deadlineMs }: { readonly asked: FetchPartition; readonly deadlineMs: number },
): Promise<FetchTarget> {
  try {
    const partition = table.find({ topic: request.topic, topicId: request.topicId, partition: asked.partition });
    const seenLeaderEpoch = asked.leaderEpoch as LeaderEpoch | undefined;
    const isLatest = asked.start.case === "position" && asked.start.value === Position.LATEST;
    const question = { seenLeaderEpoch, linearizable: request.linearizable, deadlineMs };
    const latest = isLatest || request.linearizable ? await askLatest(partition, question) : undefined;
    const offset = asked.start.case === "offset" ? (asked.start.value as Offset) : undefined;
    return {
      kind: "read",
      asked,
      partition,
      request: {
        offset: offset ?? (isLatest && latest !== undefined ? latest.offset : partition.log.logStartOffset),
        seenLeaderEpoch,
        lastReadEpoch: asked.lastReadLeaderEpoch as LeaderEpoch | undefined,
      },
      confirmedIn: request.linearizable ? latest?.leaderEpoch : undefined,
    };
  } catch (error) {
    if (error instanceof TidemarkError) return { kind: "failed", asked, error };
    throw error;
  }
}

/** The high watermark. Rejects with the TidemarkError of the partition. */
export function askLatest(
  partition: Partition,
  request: LatestRequest,
): Promise<Extract<LatestOutcome, { kind: "latest" }>> {
  return new Promise((resolve, reject) => {
    partition.latest(request, (outcome) => {
      if (outcome.kind === "latest") resolve(outcome);
      else reject(outcome.error);
    });
  });
}
