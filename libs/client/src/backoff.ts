import type { Random } from "@tidemark/runtime";

const firstMs = 50;
const mostMs = 1000;

/**
 * How long to wait before try number `attempt` (the first repeat is 1), in milliseconds: doubles from 50 to 1,000, with
 * a fifth of jitter in both directions, so that many clients do not come back together.
 */
export function backoffMs(attempt: number, random: Random): number {
  const base = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 10));
  return base * (0.8 + 0.4 * random.next());
}
