import { describe, expect, it, test } from "vitest";
import type { Guards } from "../guards.ts";
import { simulate } from "./simulation.ts";

describe("the simulated cluster", () => {
  it("gives one trace for one seed, and another one for another", () => {
    const [once, again, other] = [7, 7, 8].map((seed) => simulate({ seed }).traceHash);
    expect(again).toBe(once);
    expect(other).not.toBe(once);
  });

  it("keeps every promise, in runs that have seen enough to count", () => {
    const results = Array.from({ length: 25 }, (_, seed) => simulate({ seed }));
    expect(results.filter((result) => result.violation !== undefined)).toEqual([]);
    expect(results.filter((result) => result.counts).length).toBeGreaterThanOrEqual(20);
  });
});

describe("a rule that is switched off is missed", () => {
  test.each<{ guard: keyof Guards; seed: number; invariant: string }>([])(
    "$guard: $invariant breaks with seed $seed",
    ({ guard, seed, invariant }) => {
      expect(simulate({ seed, guards: { [guard]: false } }).violation?.invariant).toBe(invariant);
      expect(simulate({ seed }).violation).toBeUndefined();
    },
  );
});
