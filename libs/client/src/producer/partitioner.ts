import { partitionOfKey } from "@tidemark/format";
import type { ProducedRecord } from "@tidemark/record";
import { below, type Random } from "@tidemark/runtime";

/** Chooses the partitions of one topic's records that name none. */
export interface Partitioner {
  /** `partitions`: how many the topic has, 1 or more. */
  choose(record: Pick<ProducedRecord, "key" | "value">, partitions: number): number;
}

/**
 * By the record's key as Kafka's default does; else one partition until it was given `stickyBytes`
 * and then one at random (KIP-480, KIP-794), so that batches are full also at many partitions.
 */
export function createPartitioner(random: Random, stickyBytes: number): Partitioner {
  let sticky = -1;
  let bytesLeft = 0;
  return {
    choose(record, partitions) {
      if (record.key) return partitionOfKey(record.key, partitions);
      if (bytesLeft <= 0 || sticky >= partitions) {
        sticky = below(random, partitions);
        bytesLeft = stickyBytes;
      }
      bytesLeft -= record.value?.length ?? 0;
      return sticky;
    },
  };
}
