import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  emptyMap,
  entriesOf,
  keysThatDiffer,
  lookup,
  type PersistentMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from "./persistent-map.ts";

const steps = fc.array(
  fc.record({ key: fc.integer({ min: 0, max: 120 }), value: fc.option(fc.integer(), { nil: undefined }) }),
  { maxLength: 300 },
);

function run(list: readonly { readonly key: number; readonly value: number | undefined }[]) {
  let map: PersistentMap<string, number> = emptyMap();
  const twin = new Map<string, number>();
  for (const { key, value } of list) {
    const name = `key ${key}`;
    if (value === undefined) twin.delete(name);
    else twin.set(name, value);
    map = value === undefined ? withoutEntry(map, name) : withEntry(map, name, value);
  }
  return { map, twin };
}

describe("a persistent map", () => {
  it("holds what a Map holds after the same changes", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { map, twin } = run(list);
        expect(new Map(entriesOf(map))).toEqual(twin);
        expect(map.size).toBe(twin.size);
        expect([...valuesOf(map)].sort()).toEqual([...twin.values()].sort());
        for (const key of twin.keys()) expect(lookup(map, key)).toBe(twin.get(key));
      }),
    );
  });

  it("leaves the map before a change as it was", () => {
    const before = run(Array.from({ length: 100 }, (_, key) => ({ key, value: key }))).map;
    const copy = new Map(entriesOf(before));
    withEntry(before, "key 1", -1);
    withEntry(before, "new", -1);
    withoutEntry(before, "key 2");
    expect(new Map(entriesOf(before))).toEqual(copy);
  });

  it("names exactly the keys that differ, however the maps came to be", () => {
    fc.assert(
      fc.property(steps, steps, (listOfA, listOfB) => {
        const [a, b] = [run(listOfA), run([...listOfA, ...listOfB])];
        const differing = new Set([...a.twin.keys(), ...b.twin.keys()].filter((k) => a.twin.get(k) !== b.twin.get(k)));
        expect(new Set(keysThatDiffer(a.map, b.map))).toEqual(differing);
      }),
    );
  });

  it("copies one small bucket at a change, however many entries it has", () => {
    let map: PersistentMap<number, string> = emptyMap();
    for (let key = 0; key < 10_000; key++) map = withEntry(map, key, "");
    const after = withEntry(map, 77, "changed");
    const copied = after.buckets.filter((bucket, index) => bucket !== map.buckets[index]);
    expect(copied).toHaveLength(1);
    expect(copied[0]?.size).toBeLessThan(100);
  });
});
