import { invalidArgument } from "../errors.ts";

/** Partitions that one request may name: as many as a cluster has at most by default (`max.partitions`). */
const namedMax = 50_000;

/**
 * Refuses requests of a few bytes that would have one partition read again and again: each partition is named once.
 * Throws REASON_INVALID_ARGUMENT.
 */
export function checkNamed(partitions: readonly number[]): void {
  if (partitions.length > namedMax) {
    throw invalidArgument(`partitions names ${partitions.length}; a request names at most ${namedMax}`);
  }
  const seen = new Set<number>();
  for (const partition of partitions) {
    if (seen.has(partition)) throw invalidArgument(`partitions names ${partition} twice; name it once`);
    seen.add(partition);
  }
}
