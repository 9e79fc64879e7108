import { exponentialBackoffMs, type Random } from "@tidemark/runtime";

/** How long to wait before try number `attempt` (the first repeat is 1), in milliseconds: doubles from 50 to 1,000. */
export function backoffMs(attempt: number, random: Random): number {
  return exponentialBackoffMs(attempt - 1, random, { firstMs: 50, maxMs: 1000 });
}
