import { describe, expect, test } from "vitest";
import { sequenceAfter } from "./sequence.ts";

describe("sequences", () => {
  test.each([
    { sequence: 0, count: 1, after: 1 },
    { sequence: 5, count: 0, after: 5 },
    { sequence: 2 ** 31 - 1, count: 1, after: 0 },
    { sequence: 2 ** 31 - 2, count: 3, after: 1 },
    { sequence: 2 ** 31 - 1, count: 2 ** 31 - 1, after: 2 ** 31 - 2 },
  ])("$count after $sequence is $after", ({ sequence, count, after }) => {
    expect(sequenceAfter(sequence, count)).toBe(after);
  });
});
