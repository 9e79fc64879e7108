/** Typed arrays that grow by doubling; small while they are empty, for the many logs that are idle. */
export interface GrowableUint32 {
  items: Uint32Array;
  length: number;
}

export interface GrowableInt64 {
  items: BigInt64Array;
  length: number;
}

const firstCapacity = 8;
const noUint32 = new Uint32Array(0);
const noInt64 = new BigInt64Array(0);

export function growableUint32(): GrowableUint32 {
  return { items: noUint32, length: 0 };
}

export function growableInt64(): GrowableInt64 {
  return { items: noInt64, length: 0 };
}

export function pushUint32(list: GrowableUint32, item: number): void {
  if (list.length === list.items.length) {
    const grown = new Uint32Array(Math.max(firstCapacity, list.length * 2));
    grown.set(list.items);
    list.items = grown;
  }
  list.items[list.length++] = item;
}

export function pushInt64(list: GrowableInt64, item: bigint): void {
  if (list.length === list.items.length) {
    const grown = new BigInt64Array(Math.max(firstCapacity, list.length * 2));
    grown.set(list.items);
    list.items = grown;
  }
  list.items[list.length++] = item;
}

/** How many of the first `length` items are at most `limit`; they do not fall. */
export function countUpTo(
  items: ArrayLike<number> | ArrayLike<bigint>,
  length: number,
  limit: number | bigint,
): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && item <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
