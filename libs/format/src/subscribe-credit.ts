import { toBinary } from "@bufbuild/protobuf";
import { type FetchedPartition, FetchedPartitionSchema, type SubscribeRequest } from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";

/** What a subscription may still hand out. */
export interface SubscribeCredit {
  /** Infinity, or the greatest safe integer of records, where the caller set no end. */
  left(): { readonly records: number; readonly bytes: number };
  isSpent(): boolean;
  /** Counts what was handed out of one partition. */
  take(fetched: FetchedPartition): void;
}

export function createSubscribeCredit({
  creditRecords,
  creditBytes,
}: Pick<SubscribeRequest, "creditRecords" | "creditBytes">): SubscribeCredit {
  let records = creditRecords === 0n ? Number.MAX_SAFE_INTEGER : Number(creditRecords);
  let bytes = creditBytes === 0n ? Number.POSITIVE_INFINITY : Number(creditBytes);
  return {
    left: () => ({ records: Math.max(0, records), bytes: Math.max(0, bytes) }),
    isSpent: () => records <= 0 || bytes <= 0,
    take(fetched) {
      records -= fetched.records.length + recordsIn(fetched.batches);
      // The size of people's forms is known only by encoding them.
      if (bytes !== Number.POSITIVE_INFINITY) bytes -= bytesIn(fetched);
    },
  };
}

/** Counts the records of encoded batches by their headers alone. */
function recordsIn(batches: Uint8Array): number {
  let records = 0;
  for (const step of iterateBatches(batches)) if (step.kind === "ok") records += step.header.recordCount;
  return records;
}

function bytesIn(fetched: FetchedPartition): number {
  return fetched.records.length === 0 ? fetched.batches.length : toBinary(FetchedPartitionSchema, fetched).length;
}
