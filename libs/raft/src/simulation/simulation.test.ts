import { describe, expect, it, test } from "vitest";
import { allGuards, type Guards } from "../guards.ts";
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

test("an empty disk under the id of a lost one may find that out: by a heartbeat from before its promotion (seed 4059)", () => {
  const result = simulate({ seed: 4059 });
  expect(result.violation).toBeUndefined();
});

/** Where a seed no longer finds it, `npm run simulate -w @tidemark/raft -- --without GUARD` names others. */
const missed: readonly { readonly guard: keyof Guards; readonly seed: number; readonly invariant: string }[] = [
  { guard: "commitOnlyOwnTerm", seed: 70, invariant: "leader completeness" },
  { guard: "persistVote", seed: 14, invariant: "no send before persist" },
  { guard: "answerAfterFlush", seed: 14, invariant: "no send before persist" },
  { guard: "preVote", seed: 14, invariant: "quiet nodes raise no term" },
  { guard: "checkQuorum", seed: 38, invariant: "a lonely leader steps down" },
  { guard: "readIndexRound", seed: 30, invariant: "reads are linearizable" },
  { guard: "snapshotAfterFlush", seed: 14, invariant: "no send before persist" },
  { guard: "changeAfterOwnTermCommit", seed: 62, invariant: "election safety" },
  { guard: "learnersDoNotCount", seed: 30, invariant: "commit has a quorum" },
  { guard: "emptyDiskNeverVotes", seed: 106, invariant: "leader completeness" },
  { guard: "cutOnlyConflicts", seed: 55, invariant: "committed entries stay" },
];

describe("a rule that is switched off is missed", () => {
  test.each(missed)("$guard: $invariant breaks with seed $seed, and only then", ({ guard, seed, invariant }) => {
    expect(simulate({ seed, guards: { [guard]: false } }).violation?.invariant).toBe(invariant);
    expect(simulate({ seed }).violation).toBeUndefined();
  });

  it("answerAfterFlush: also by what follows from it, where nobody looks at what is sent", () => {
    const { violation } = simulate({ seed: 43, guards: { answerAfterFlush: false }, checksSends: false });
    expect(violation?.invariant).toBe("commit has a quorum");
  });

  it("none is left out", () => {
    expect(new Set(missed.map(({ guard }) => guard))).toEqual(new Set(Object.keys(allGuards)));
  });
});
