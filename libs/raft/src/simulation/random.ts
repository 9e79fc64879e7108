/** Draws that follow from a seed alone. */
export interface Draw {
  /** Whole, in [from, to]. */
  between(from: number, to: number): number;
  /** True in `share` of all cases, 0 to 1. */
  chance(share: number): boolean;
  /** One of `items`; undefined when there is none. */
  pick<Item>(items: readonly Item[]): Item | undefined;
}

/** A generator of 32 bits of state that are counted up and mixed (after Steele, Lea and Flood's splittable generators). */
export function createDraw(seed: number): Draw {
  let state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    between: (from, to) => from + (next() % (to - from + 1)),
    chance: (share) => next() < share * 2 ** 32,
    pick: (items) => items[next() % Math.max(1, items.length)],
  };
}
