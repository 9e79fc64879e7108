import { Reason } from "@tidemark/proto/common/v1";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import { DEFAULT_DEADLINE, STREAM_DEADLINE } from "../wire/budgets.ts";
import { callTimes, startDeadline } from "./call-deadline.ts";

const NONE = Number.POSITIVE_INFINITY;

describe("the time of a call", () => {
  test.each([
    { says: "is given when the caller names none", callerMs: NONE, rule: DEFAULT_DEADLINE, abortMs: 29_750 },
    { says: "is capped when the caller asks for more", callerMs: 3_600_000, rule: DEFAULT_DEADLINE, abortMs: 59_750 },
    { says: "is the caller's, less a share for the answer", callerMs: 1000, rule: DEFAULT_DEADLINE, abortMs: 950 },
    { says: "keeps back no less than 10 ms", callerMs: 100, rule: DEFAULT_DEADLINE, abortMs: 90 },
    { says: "keeps back no more than half", callerMs: 4, rule: DEFAULT_DEADLINE, abortMs: 2 },
    {
      says: "of a stream is not limited unless its caller does it",
      callerMs: NONE,
      rule: STREAM_DEADLINE,
      abortMs: NONE,
    },
    { says: "of a stream is its caller's", callerMs: 1000, rule: STREAM_DEADLINE, abortMs: 950 },
    { says: "is not limited by more than a timer can wait", callerMs: 2 ** 31, rule: STREAM_DEADLINE, abortMs: NONE },
  ])("$says", ({ callerMs, rule, abortMs }) => {
    const times = callTimes(callerMs, rule);
    expect(times.abortMs).toBe(abortMs);
    expect(times.answerMs).toBeGreaterThanOrEqual(abortMs);
    expect(abortMs === NONE || times.answerMs <= callerMs).toBe(true);
  });
});

describe("a deadline", () => {
  const start = () => {
    const time = createManualTime();
    const events: string[] = [];
    const deadline = startDeadline({
      times: { abortMs: 90, answerMs: 95 },
      ...time,
      onAbort: ({ reason }) => events.push(`abort ${Reason.DEADLINE_EXCEEDED === reason}`),
      onAnswer: ({ reason }) => events.push(`answer ${Reason.DEADLINE_EXCEEDED === reason}`),
    });
    return { time, events, deadline };
  };

  it("tells the handler first, and answers for it afterwards", async () => {
    const { time, events, deadline } = start();
    await time.advance(60);
    expect(deadline.remainingMs()).toBe(30);
    await time.advance(30);
    expect(events).toEqual(["abort true"]);
    await time.advance(5);
    expect(events).toEqual(["abort true", "answer true"]);
    expect(deadline.remainingMs()).toBe(0);
  });

  it("leaves no timer behind a call that ended", async () => {
    const { time, events, deadline } = start();
    await time.advance(92);
    deadline.cancel();
    expect(time.pending()).toBe(0);
    await time.advance(1000);
    expect(events).toEqual(["abort true"]);
  });
});
