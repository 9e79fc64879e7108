import { expect, test } from "vitest";
import { counts, type RunResult } from "./result.ts";

/** A run that did just enough: 120 s, 2,000 acknowledged batches, 5 faults of 3 kinds, 2 elections. */
function enough(changed: Partial<RunResult> = {}): RunResult {
  const faults = new Map([
    ["killBroker", 3],
    ["pause", 1],
    ["oneWay", 1],
  ]);
  return { simulatedMs: 120_000, acknowledgedBatches: 2000, elections: 2, faults, ...changed } as RunResult;
}

test("a run counts from 120 simulated seconds, 2,000 acknowledged batches, 5 faults of 3 kinds and 2 elections on", () => {
  expect(counts(enough())).toBe(true);
});

test.for<readonly [string, Partial<RunResult>]>([
  ["a millisecond", { simulatedMs: 119_999 }],
  ["a batch", { acknowledgedBatches: 1999 }],
  ["an election", { elections: 1 }],
  [
    "a fault",
    {
      faults: new Map([
        ["killBroker", 2],
        ["pause", 1],
        ["oneWay", 1],
      ]),
    },
  ],
  [
    "a kind of fault",
    {
      faults: new Map([
        ["killBroker", 4],
        ["pause", 1],
      ]),
    },
  ],
])("%s less, and it does not count", ([, changed]) => {
  expect(counts(enough(changed))).toBe(false);
});
