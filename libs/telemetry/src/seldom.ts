import type { Clock } from "@tidemark/runtime";

/** A collector that stays away is worth a line this often, whatever it costs in spans and metrics. */
const intervalMs = 60_000;

/** Returns what runs what it is given, unless it ran something within the last minute. */
export function createSeldom(clock: Clock): (say: () => void) => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return (say) => {
    if (clock.monotonicMs() - saidAtMs < intervalMs) return;
    saidAtMs = clock.monotonicMs();
    say();
  };
}
