import { Outcome, Reason, type RecordOutcome, TidemarkError } from "@tidemark/client";
import { expect, test } from "vitest";
import { createTally } from "./tally.ts";

const error = (reason: Reason, outcome: Outcome) => new TidemarkError({ reason, message: "It went wrong", outcome });
const done: RecordOutcome = { kind: "acknowledged", partition: 0, offset: 0n };
const late: RecordOutcome = { kind: "unknown", error: error(Reason.DEADLINE_EXCEEDED, Outcome.UNKNOWN) };
const large = { kind: "notApplied", error: error(Reason.MESSAGE_TOO_LARGE, Outcome.NOT_APPLIED) } as const;

test("what no topic can take has no setting that allows it", () => {
  const tally = createTally();
  tally.skipLine(large.error, 3);
  expect(tally.failed).toBe(1);
  expect(tally.complaints()).toEqual(["line 3 (failed, REASON_MESSAGE_TOO_LARGE): It went wrong"]);
});

test("every outcome is counted once, and each kind of failure is told once", () => {
  const tally = createTally();
  for (const outcome of [done, done, late, late]) tally.count(outcome);
  tally.countLine(large, 7);
  tally.countLine(large, 9);
  expect([tally.acknowledged, tally.unknown, tally.failed]).toEqual([2, 2, 2]);
  expect(tally.complaints()).toEqual([
    "2 records (unknown, REASON_DEADLINE_EXCEEDED): It went wrong",
    expect.stringMatching(
      /^line 7 and 1 more \(failed, REASON_MESSAGE_TOO_LARGE\): It went wrong \(.*max\.message\.bytes/,
    ),
  ]);
});
