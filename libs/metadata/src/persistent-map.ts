/**
 * A map whose every change gives another map and leaves the old one as it was, at a cost that does not grow with its
 * size: entries are spread over buckets of about 32, and a change copies one of them and the list of buckets.
 *
 * The order of its entries is fixed by the history of changes and means nothing.
 */
export interface PersistentMap<Key extends string | number, Value> {
  readonly size: number;
  /** Their count is a power of two. */
  readonly buckets: readonly ReadonlyMap<Key, Value>[];
}

const bucketSizeMax = 32;

export function emptyMap<Key extends string | number, Value>(): PersistentMap<Key, Value> {
  return { size: 0, buckets: [new Map()] };
}

export function lookup<Key extends string | number, Value>(
  map: PersistentMap<Key, Value>,
  key: Key,
): Value | undefined {
  return map.buckets[bucketOf(map, key)]?.get(key);
}

export function withEntry<Key extends string | number, Value>(
  map: PersistentMap<Key, Value>,
  key: Key,
  value: Value,
): PersistentMap<Key, Value> {
  const index = bucketOf(map, key);
  const before = map.buckets[index];
  const size = before?.has(key) ? map.size : map.size + 1;
  const bucket = new Map(before).set(key, value);
  const after = { size, buckets: map.buckets.with(index, bucket) };
  return size > map.buckets.length * bucketSizeMax ? spread(after) : after;
}

/** Returns the same map where there is no such key. */
export function withoutEntry<Key extends string | number, Value>(
  map: PersistentMap<Key, Value>,
  key: Key,
): PersistentMap<Key, Value> {
  const index = bucketOf(map, key);
  const before = map.buckets[index];
  if (before === undefined || !before.has(key)) return map;
  const bucket = new Map(before);
  bucket.delete(key);
  return { size: map.size - 1, buckets: map.buckets.with(index, bucket) };
}

export function* entriesOf<Key extends string | number, Value>(
  map: PersistentMap<Key, Value>,
): IterableIterator<readonly [Key, Value]> {
  for (const bucket of map.buckets) yield* bucket;
}

export function* valuesOf<Key extends string | number, Value>(map: PersistentMap<Key, Value>): IterableIterator<Value> {
  for (const bucket of map.buckets) yield* bucket.values();
}

/** The keys whose values are not the same object in both maps. Cheap where one map was made from the other. */
export function* keysThatDiffer<Key extends string | number, Value>(
  a: PersistentMap<Key, Value>,
  b: PersistentMap<Key, Value>,
): IterableIterator<Key> {
  const isAligned = a.buckets.length === b.buckets.length;
  for (const [index, bucket] of a.buckets.entries()) {
    if (isAligned && bucket === b.buckets[index]) continue;
    for (const [key, value] of bucket) if (lookup(b, key) !== value) yield key;
  }
  for (const [index, bucket] of b.buckets.entries()) {
    if (isAligned && bucket === a.buckets[index]) continue;
    for (const key of bucket.keys()) if (lookup(a, key) === undefined) yield key;
  }
}

/** The same entries over twice as many buckets. */
function spread<Key extends string | number, Value>(map: PersistentMap<Key, Value>): PersistentMap<Key, Value> {
  const buckets = Array.from({ length: map.buckets.length * 2 }, () => new Map<Key, Value>());
  for (const [key, value] of entriesOf(map)) buckets[hash(key) & (buckets.length - 1)]?.set(key, value);
  return { size: map.size, buckets };
}

/** Most maps have one bucket, and then nobody asks for the hash, which costs more than the rest of a lookup. */
function bucketOf<Key extends string | number, Value>({ buckets }: PersistentMap<Key, Value>, key: Key): number {
  return buckets.length === 1 ? 0 : hash(key) & (buckets.length - 1);
}

/** FNV-1a over the characters; a number stands for itself. */
function hash(key: string | number): number {
  if (typeof key === "number") return key;
  let value = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) value = Math.imul(value ^ key.charCodeAt(index), 0x01000193);
  return value ^ (value >>> 15);
}
