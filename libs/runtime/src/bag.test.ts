import { expect, test } from "vitest";
import { createBag } from "./bag.ts";
import { below } from "./random.ts";
import { createSeededRandom } from "./seeded-random.ts";

test("holds what was put in and not taken out, whatever the order", () => {
  const random = createSeededRandom(1);
  const bag = createBag<number>();
  const held = new Map<number, () => void>();
  for (let item = 0; item < 500; item++) {
    held.set(item, bag.add(item));
    const taken = [...held.keys()][below(random, held.size)];
    if (taken !== undefined && random.next() < 0.9) {
      held.get(taken)?.();
      held.delete(taken);
    }
    expect(bag.items().toSorted((left, right) => left - right)).toEqual([...held.keys()]);
    expect(bag.size()).toBe(held.size);
  }
});

test("taking something out twice takes nothing else out", () => {
  const bag = createBag<string>();
  const takeOut = bag.add("first");
  takeOut();
  bag.add("second");
  takeOut();
  expect(bag.items()).toEqual(["second"]);
});
