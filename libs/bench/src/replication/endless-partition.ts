import type { ReplicaServing } from "@tidemark/broker/replica-streams";
import { crc32c } from "@tidemark/compression";
import { leaderEpoch, offset } from "@tidemark/ids";
import { encodeBatch, stampBatch } from "@tidemark/record";

/** A batch of about so many bytes, of records of 200 B, stamped. */
function batchOf(bytes: number): Uint8Array {
  const value = new Uint8Array(188).fill(120);
  const records = Array.from({ length: recordsOf(bytes) }, () => ({
    timestamp: 1_700_000_000_000n,
    key: null,
    value,
    headers: [],
  }));
  const batch = encodeBatch(records, { crc32c });
  stampBatch(batch, 0, { baseOffset: offset(0n), leaderEpoch: leaderEpoch(0) });
  return batch;
}

/**
 * Partitions in memory that always have data: batches of `batchBytes`, as many as an answer takes or `batchesMax`. The
 * same bytes each time.
 */
export function createEndlessPartitions(batchBytes: number, batchesMax: number): ReplicaServing {
  const batch = batchOf(batchBytes);
  const many = Buffer.concat(Array.from({ length: Math.max(1, Math.ceil(2 ** 20 / batch.length)) }, () => batch));
  const none = offset(0n);
  const nextOffset = offset(BigInt(recordsOf(batchBytes)));
  const serve: ReplicaServing["goOn"] = (_partition, _fetch, _deadlineMs, reply) => {
    reply({
      kind: "records",
      highWatermark: none,
      logStart: none,
      logEnd: none,
      read: (maxBytes) => {
        const count = Math.min(batchesMax, Math.max(1, Math.floor(maxBytes / batch.length)));
        return Promise.resolve({ batches: [many.subarray(0, count * batch.length)], nextOffset, sent: () => [] });
      },
    });
    return () => undefined;
  };
  return { fetch: serve, goOn: serve, flushed: () => undefined };
}

function recordsOf(bytes: number): number {
  return Math.max(1, Math.floor(bytes / 200));
}
