/** What a row of measured times says. In milliseconds; 0 where nothing was measured. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Orders the times in place. */
export function latenciesOf(timesMs: number[]): Latencies {
  timesMs.sort((a, b) => a - b);
  return {
    count: timesMs.length,
    p50Ms: quantile(timesMs, 0.5),
    p99Ms: quantile(timesMs, 0.99),
    maxMs: timesMs.at(-1) ?? 0,
  };
}

/** The least time that so large a part does not exceed. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
