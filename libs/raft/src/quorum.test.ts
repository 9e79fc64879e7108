import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NodeId } from "./ids.ts";
import type { Member } from "./membership.ts";
import { majorityOf, reachedByMajority, tally } from "./quorum.ts";
import { idOf } from "./testing/scripted-cluster.ts";

const members = (count: number): Member[] =>
  Array.from({ length: count }, (_, position) => ({ id: idOf(`n${String(position + 1)}`), address: "" }));

/** Every way to choose some of `items`. */
function subsets<Item>(items: readonly Item[]): Item[][] {
  return items.reduce<Item[][]>((found, item) => [...found, ...found.map((subset) => [...subset, item])], [[]]);
}

const values = fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 7 });

describe("what a majority has reached", () => {
  test("is the greatest value that some majority has, each of its members", () => {
    fc.assert(
      fc.property(values, (reached) => {
        const voters = members(reached.length);
        const valueOf = (id: NodeId) => reached[voters.findIndex((voter) => voter.id === id)]!;
        const slow = Math.max(
          ...subsets(voters)
            .filter((subset) => 2 * subset.length > voters.length)
            .map((subset) => Math.min(...subset.map((voter) => valueOf(voter.id)))),
        );
        expect(reachedByMajority(voters, valueOf)).toBe(slow);
      }),
    );
  });

  test("is nothing where nobody votes", () => {
    expect(reachedByMajority([], () => 7)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("majorities", () => {
  test("of one membership, and of two that differ in one voter, share a voter", () => {
    for (let size = 1; size <= 7; size++) {
      const larger = members(size);
      for (const smaller of [larger, larger.slice(1)]) {
        const left = subsets(larger).filter((subset) => subset.length >= majorityOf(larger.length));
        const right = subsets(smaller).filter((subset) => subset.length >= majorityOf(smaller.length));
        for (const one of left)
          for (const other of right) expect(one.some((voter) => other.includes(voter))).toBe(true);
      }
    }
  });
});

describe("an election's tally", () => {
  test("is won and lost exactly when no answer that is missing can change it", () => {
    const answers = fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(answers, (given) => {
        const voters = members(given.length);
        const votes = new Map(
          voters.flatMap((voter, position) => {
            const vote = given[position];
            return vote === undefined ? [] : [[voter.id, vote] as const];
          }),
        );
        const granted = given.filter((vote) => vote === true).length;
        const open = given.filter((vote) => vote === undefined).length;
        const wins = (yes: number) => 2 * yes > given.length;
        const expected = wins(granted) ? "won" : wins(granted + open) ? "pending" : "lost";
        expect(tally(voters, votes)).toBe(expected);
      }),
    );
  });

  test("ignores whoever is no voter", () => {
    expect(
      tally(
        members(3),
        new Map([
          [idOf("n9"), true],
          [idOf("n8"), true],
        ]),
      ),
    ).toBe("pending");
  });
});
