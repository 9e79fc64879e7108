import type { Random } from "@tidemark/runtime";

const firstMs = 20;
const mostMs = 1000;

/**
 * How long a lane waits before it opens its stream again, in milliseconds: 0 after a stream that worked, then from 20
 * doubling to 1,000 at most, the later half of it drawn. `failures`: streams that ended before anything came.
 */
export function reconnectMs(failures: number, random: Random): number {
  if (failures === 0) return 0;
  const most = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 10));
  return most / 2 + random.next() * (most / 2);
}
