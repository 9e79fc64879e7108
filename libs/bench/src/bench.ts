/** One measured thing: what several runs of it gave. */
export interface Figure {
  readonly name: string;
  /** For example MB/s, with MB = 10^6 bytes. */
  readonly unit: string;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /**
   * The median of the ratios, run by run, to what was measured beside it in the same run. `min`, `max`: their least and
   * their most; absent where there is no such pair for each run. `low`, `high`: between them the median of ever more
   * runs would lie, 19 times of 20; absent where there were too few runs to say so.
   */
  readonly ratio?: {
    readonly to: string;
    readonly value: number;
    readonly min?: number;
    readonly max?: number;
    readonly low?: number;
    readonly high?: number;
  };
}

/** Something that can be measured by name. */
export interface Bench {
  readonly name: string;
  /** What it measures and against what, as a sentence. */
  readonly about: string;
  /** Parts that can be measured alone, by name. Absent: it has none. */
  readonly scenarios?: readonly string[];
  /** `only`: of `scenarios`. Absent or empty: all. */
  run(say: (line: string) => void, only?: readonly string[]): Promise<readonly Figure[]>;
}

/** The middle of some numbers; of an even count the lower middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

/** A figure of several runs. `beside`: what was measured in the same runs; one each, or their middles are compared. */
export function figure(
  name: string,
  unit: string,
  values: readonly number[],
  beside?: { readonly to: string; readonly values: readonly number[] },
): Figure {
  const plain = { name, unit, min: Math.min(...values), median: median(values), max: Math.max(...values) };
  if (beside === undefined) return plain;
  const { to } = beside;
  if (beside.values.length !== values.length) {
    return { ...plain, ratio: { to, value: plain.median / median(beside.values) } };
  }
  const ratios = values.map((each, run) => each / (beside.values[run] ?? Number.NaN));
  const spread = { min: Math.min(...ratios), max: Math.max(...ratios), ...medianInterval(ratios) };
  return { ...plain, ratio: { to, value: median(ratios), ...spread } };
}

/**
 * Between which of the values the median of what they are drawn from lies, at 95 %. By their order alone, so that it does
 * not matter how they are spread: so many of n lie below it as n coins show heads.
 */
function medianInterval(values: readonly number[]): { readonly low: number; readonly high: number } | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const { length } = values;
  let below = 0;
  // How likely it is that exactly, and that at most, so many lie below.
  let exactly = 0.5 ** length;
  let atMost = exactly;
  while (atMost <= 0.025) {
    exactly *= (length - below) / (below + 1);
    atMost += exactly;
    below++;
  }
  const [low, high] = [sorted[below - 1], sorted[length - below]];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/** A figure, and its 90th percentile as another one. */
export function distribution(name: string, unit: string, values: readonly number[]): readonly Figure[] {
  const sorted = [...values].sort((a, b) => a - b);
  const p90 = sorted[Math.ceil(sorted.length * 0.9) - 1] ?? Number.NaN;
  return [figure(name, unit, values), figure(`${name}, p90`, unit, [p90])];
}

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
