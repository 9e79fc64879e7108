import type { PartitionDescription } from "@tidemark/client";

/**
 * Which partitions are shown.
 *
 * | filter           | a partition is shown if                                 |
 * |------------------|---------------------------------------------------------|
 * | under-replicated | a replica is not in sync                                |
 * | under-min-isr    | fewer are in sync than acks=all needs: it is not written |
 * | at-min-isr       | one in-sync replica less, and it is not written         |
 * | unavailable      | it has no leader                                        |
 */
export const partitionFilters = ["under-replicated", "under-min-isr", "at-min-isr", "unavailable"] as const;
export type PartitionFilter = (typeof partitionFilters)[number];

type State = Pick<PartitionDescription, "replicas" | "isr" | "minIsr" | "leader">;

/** Whether the filter leaves a partition. */
export function isShown(filter: PartitionFilter, { replicas, isr, minIsr, leader }: State): boolean {
  switch (filter) {
    case "under-replicated":
      return isr.length < replicas.length;
    case "under-min-isr":
      return isr.length < minIsr;
    case "at-min-isr":
      return isr.length === minIsr;
    case "unavailable":
      return leader === undefined;
  }
}
