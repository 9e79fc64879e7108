import type { Topic } from "@tidemark/metadata";
import { invalidArgument } from "@tidemark/rpc";
import type { RoutedPartition, RouteTable } from "../routing/route-table.ts";

/** Numbers from 0 to `count`, exclusive. */
export function indexesUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** The partitions that a request names, in its order; all of the topic where it names none. Throws where one is not there. */
export function askedPartitions(table: RouteTable, topic: Topic, named: readonly number[]): RoutedPartition[] {
  const seen = new Set<number>();
  for (const partition of named) {
    if (seen.has(partition)) throw invalidArgument(`partition ${partition} is named twice; name it once`);
    seen.add(partition);
  }
  const partitions = named.length > 0 ? named : indexesUpTo(topic.partitions);
  return partitions.map((partition) => table.partition(topic, partition));
}
