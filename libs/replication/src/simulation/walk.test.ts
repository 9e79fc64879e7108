import { describe, expect, it } from "vitest";
import { allGuards, type ReplicationGuards } from "../guards.ts";
import { hunts, idempotence } from "./focuses.ts";
import { walk } from "./walk.ts";

// eslint-disable-next-line no-restricted-properties -- says how long the tests run; no setting of the product
const wanted = Number(process.env["TIDEMARK_TEST_SEEDS"] ?? 0);
const seeds = wanted > 0 ? wanted : 500;
const steps = 600;
/** How far a guard's damage is hunted when the seeds that are known do not show it any more. */
const furthestSeed = Math.max(wanted, 4_000);
/** A whole run: what a long one takes is the business of whoever asked for it. */
const timeout = 600_000;

describe("any mix of faults", () => {
  it(
    `leaves every invariant in place, and everything acknowledged readable at the end (${seeds} seeds)`,
    () => {
      const broken: string[] = [];
      const sums = { acked: 0, elections: 0, faults: 0 };
      for (let seed = 0; seed < seeds; seed++) {
        const run = walk({ seed, steps });
        if (run.broken !== undefined) broken.push(run.broken);
        sums.acked += run.acked;
        sums.elections += run.elections;
        sums.faults += run.faults;
      }
      expect(broken).toEqual([]);
      // A walk in which nothing happens proves nothing.
      expect(sums.acked).toBeGreaterThan(seeds * 3);
      expect(sums.elections).toBeGreaterThan(seeds);
      expect(sums.faults).toBeGreaterThan(seeds * 5);
    },
    timeout,
  );

  it(
    `leaves each batch of an idempotent producer once and in order (${seeds / 2} seeds)`,
    () => {
      const runs = Array.from({ length: seeds / 2 }, (_, seed) => walk({ seed, steps, focus: idempotence }));
      expect(runs.flatMap(({ broken }) => broken ?? [])).toEqual([]);
      const repeats = runs.flatMap(({ trace }) => trace.filter((line) => line.includes(" again"))).length;
      expect(repeats).toBeGreaterThan(seeds);
    },
    timeout,
  );

  it("is the same run for the same seed", () => {
    expect(walk({ seed: 7, steps }).trace).toEqual(walk({ seed: 7, steps }).trace);
    expect(walk({ seed: 7, steps }).trace).not.toEqual(walk({ seed: 8, steps }).trace);
  });
});

describe("an invariant finds the damage", () => {
  const guards = Object.keys(allGuards) as (keyof ReplicationGuards)[];

  it.each(guards)(
    "without %s",
    (guard) => {
      const { focus, seeds: known } = hunts[guard];
      const run = (seed: number, off: boolean) =>
        walk({ seed, steps: 500, guards: { [guard]: !off }, ...(focus && { focus }) }).broken;
      let found = known.find((seed) => isDamage(run(seed, true)));
      for (let seed = 0; found === undefined && seed < furthestSeed; seed++) {
        if (isDamage(run(seed, true))) found = seed;
      }
      expect(found).toBeDefined();
      // It is the guard that makes the difference, not the mix.
      expect(run(found ?? 0, false)).toBeUndefined();
    },
    timeout,
  );
});

/** Broken safety: that a run does not end well is not what a guard is there for. */
function isDamage(broken: string | undefined): boolean {
  return broken?.includes("Broken invariant") === true;
}
