import type { Offset } from "@tidemark/ids";
import { describe, expect, test } from "vitest";
import { catchUpFromBytes, catchUpToBytes, type LaneName, nextLane } from "./catch-up.ts";

const at = (value: number) => BigInt(value) as Offset;
/** Ten records of 1 KiB, and a leader that is so many bytes ahead. */
const answer = (behind: number) => ({
  batches: [{ baseOffset: at(90), endOffset: at(100), leaderEpoch: 1 as never }],
  bytes: 10 * 1024,
  logEnd: at(100 + behind / 1024),
});

describe("the stream of a partition", () => {
  test.each<[says: string, now: LaneName, behind: number, next: LaneName]>([
    ["stays with those in sync", "tail", 0, "tail"],
    ["stays with them while it is not far behind", "tail", catchUpFromBytes, "tail"],
    ["leaves them when it is", "tail", catchUpFromBytes + 1024, "catchUp"],
    ["stays apart until it is near", "catchUp", catchUpToBytes + 1024, "catchUp"],
    ["comes back when it is near", "catchUp", catchUpToBytes, "tail"],
  ])("%s", (_, now, behind, next) => {
    expect(nextLane(now, answer(behind))).toBe(next);
  });

  test("is the ordinary one after an answer without records", () => {
    expect(nextLane("catchUp", { batches: [], bytes: 0, logEnd: at(5) })).toBe("tail");
  });
});
