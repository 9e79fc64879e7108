import { expect, test } from "vitest";
import { at, epoch } from "../testing/fixture.ts";
import { type EpochCache, learnEpoch } from "./epoch-cache.ts";

const cacheOf = (...starts: readonly (readonly [number, number])[]): EpochCache =>
  starts.map(([leaderEpoch, startOffset]) => ({ leaderEpoch: epoch(leaderEpoch), startOffset: at(startOffset) }));

/** The cache after batches of these epochs were found at these offsets. */
const learn = (cache: EpochCache, ...found: readonly (readonly [number, number])[]): EpochCache =>
  cacheOf(...found).reduce((known, each) => learnEpoch(known, each), cache);

test("an epoch that was not noted is learnt from its first batch", () => {
  expect(learn(cacheOf([1, 0]), [1, 4], [3, 5], [3, 6])).toEqual(cacheOf([1, 0], [3, 5]));
});

test("an epoch whose batches are gone is forgotten", () => {
  expect(learn(cacheOf([1, 0], [4, 5], [6, 8]), [3, 5])).toEqual(cacheOf([1, 0], [3, 5], [6, 8]));
});

test("an epoch whose batches go on behind the start of a newer, empty one keeps its own start", () => {
  expect(learn(cacheOf([1, 0], [2, 3], [4, 5]), [2, 5], [2, 6])).toEqual(cacheOf([1, 0], [2, 3]));
});
