import { describe, expect, it, test } from "vitest";
import { allGuards } from "./guards.ts";
import { advanceHighWatermark, isSettled, lastToReport } from "./high-watermark.ts";
import { at, progressOf } from "./testing/values.ts";

const counted = (positions: Record<number, number | undefined>) =>
  Object.entries(positions).map(([id, position]) =>
    progressOf(Number(id), position === undefined ? {} : { flushed: at(position) }),
  );

describe("the high watermark", () => {
  test.each([
    { says: "is the least flushed offset of those who count", has: { 1: 9, 2: 7, 3: 8 }, isrSize: 3, to: 7 },
    { says: "never goes back", has: { 1: 9, 2: 4 }, isrSize: 2, to: 5 },
    {
      says: "waits for a member without a position in this leader epoch",
      has: { 1: 9, 2: undefined },
      isrSize: 2,
      to: 5,
    },
    { says: "stands still below min ISR, whatever the maximal ISR has", has: { 1: 9, 2: 9 }, isrSize: 1, to: 5 },
    { says: "counts a member that is about to join", has: { 1: 9, 2: 8, 3: 6 }, isrSize: 2, to: 6 },
  ])("$says", ({ has, isrSize, to }) => {
    const known = { counted: counted(has), isrSize, minIsr: 2, guards: allGuards };
    expect(advanceHighWatermark(at(5), known)).toBe(at(to));
  });

  it("is unsettled until it reaches the start of its epoch", () => {
    expect(isSettled({ highWatermark: at(5), epochStart: at(6) })).toBe(false);
    expect(isSettled({ highWatermark: at(6), epochStart: at(6) })).toBe(true);
  });

  it("names the member that reported last", () => {
    expect(lastToReport([progressOf(1, { reportedAt: 3 }), progressOf(2, { reportedAt: 7 })])).toBe(2);
  });
});
