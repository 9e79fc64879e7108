import { expect, it } from "vitest";
import { createConfirmedReads } from "./confirmed-reads.ts";
import type { Confirmation } from "./controller-messages.ts";
import type { LatestOffsetInput } from "./inputs.ts";
import type { RequestId } from "./outputs.ts";
import { context, epoch } from "./testing/values.ts";

const confirmation = (value: number) => value as Confirmation;
const read = (id: number, nowMs: number): LatestOffsetInput => ({
  kind: "latestOffset",
  requestId: id as RequestId,
  seenLeaderEpoch: undefined,
  linearizable: true,
  deadlineMs: 60_000,
  nowMs,
});

function start() {
  let last = 0;
  const reads = createConfirmedReads(context(1), { next: () => confirmation(++last) }, epoch(1));
  const decided = (by: number, nowMs: number) =>
    reads.answered(confirmation(by), nowMs).map(({ requestId }): number => requestId);
  return { reads, decided };
}

it("an answer that comes after its question was asked again decides what had arrived before it, and no more", () => {
  const { reads, decided } = start();
  reads.arrive(read(1, 0));
  reads.arrive(read(2, 500));
  // A controller that takes longer than the pause each time.
  reads.retry(1_000);
  reads.arrive(read(3, 1_100));
  expect(decided(1, 1_200)).toEqual([1]);
  expect(decided(1, 1_200)).toEqual([]);
  expect(decided(2, 2_200)).toEqual([2]);
  expect(decided(3, 3_200)).toEqual([3]);
  expect(reads.size).toBe(0);
});
