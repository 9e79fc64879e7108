import { expect, test } from "vitest";
import { latenciesOf } from "./latencies.ts";

test("a quantile is the least time that so large a part does not exceed", () => {
  const times = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(latenciesOf(times)).toEqual({ count: 100, p50Ms: 50, p99Ms: 99, maxMs: 100 });
  expect(latenciesOf([7])).toEqual({ count: 1, p50Ms: 7, p99Ms: 7, maxMs: 7 });
  expect(latenciesOf([])).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
});
