import type { Random } from "./random.ts";

/**
 * How long to wait before a further try, in milliseconds: `firstMs` after the first failure, then twice as long each
 * time up to `maxMs`. The later half of it is drawn, so that many do not come back together. `failures`: those before
 * the one that is waited for; 0 after the first.
 */
export function exponentialBackoffMs(
  failures: number,
  random: Random,
  { firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number },
): number {
  // Beyond 2^30 every limit that a timer can wait is reached.
  const most = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30));
  return most / 2 + random.next() * (most / 2);
}
