import type { Clock } from "@tidemark/runtime";

/** So many failures at once are recorded, whatever is sampled. */
const failuresAtOnce = 10;
/** From then on one in so much time, in milliseconds: who fails fails often, and one tells as much as the next. */
const failureIntervalMs = 1000;

/** Says of each failure whether it may be recorded though nothing sampled it. */
export function createErrorAllowance(clock: Clock): () => boolean {
  let left = failuresAtOnce;
  let countedMs = clock.monotonicMs();
  return () => {
    const nowMs = clock.monotonicMs();
    const more = Math.floor((nowMs - countedMs) / failureIntervalMs);
    if (more > 0) {
      left = Math.min(failuresAtOnce, left + more);
      countedMs += more * failureIntervalMs;
    }
    if (left === 0) return false;
    left -= 1;
    return true;
  };
}
