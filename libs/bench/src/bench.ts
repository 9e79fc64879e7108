/** What a bench measured: a value for each round, of which the least, the middle and the largest are kept. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** Against what was measured beside it in the same run: the median over that of `to`. */
  readonly ratio?: { readonly to: string; readonly value: number };
}

export interface Bench {
  /** As it is called: `npm run bench -- NAME`. */
  readonly name: string;
  /** What it measures, in a line. */
  readonly about: string;
  run(): Promise<Figure[]>;
}

/** `values`: one for each round, at least one. */
export function figure(name: string, unit: string, values: readonly number[], peer?: Figure): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const median = at(Math.floor(sorted.length / 2));
  const plain = { name, unit, min: at(0), median, max: at(sorted.length - 1) };
  return peer === undefined ? plain : { ...plain, ratio: { to: peer.name, value: median / peer.median } };
}

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
