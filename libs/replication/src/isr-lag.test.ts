import { describe, expect, it, test } from "vitest";
import { allGuards } from "./guards.ts";
import { lagMs, mayReturn, noteAppend, noteReport, reasonToRemove, startLagClock } from "./isr-lag.ts";
import { defaultSettings } from "./settings.ts";
import { at, progressOf } from "./testing/values.ts";

const end = (logEnd: number, nowMs: number) => ({ logEnd: at(logEnd), nowMs });

describe("lag", () => {
  it("is none while everything is flushed, however long ago the last report was", () => {
    const progress = progressOf(2, { flushed: at(5) });
    startLagClock(progress, end(5, 0));
    expect(lagMs(progress, end(5, 60_000))).toBe(0);
  });

  it("begins with the append that the replica lacks, not with its last report", () => {
    const progress = progressOf(2, { flushed: at(5) });
    startLagClock(progress, end(5, 0));
    noteAppend(progress, at(5), end(6, 60_000));
    expect(lagMs(progress, end(6, 60_400))).toBe(400);
  });

  it("goes on through the appends that follow", () => {
    const progress = progressOf(2, { flushed: at(5) });
    noteAppend(progress, at(5), end(6, 100));
    noteAppend(progress, at(6), end(7, 200));
    expect(lagMs(progress, end(7, 300))).toBe(200);
  });

  it("stays small for a replica that is always a little behind a busy log, however often it reports", () => {
    const progress = progressOf(2, { flushed: at(0) });
    startLagClock(progress, end(0, 0));
    // One record each millisecond; its flushes are 5 ms behind, its reports 1 ms apart.
    for (let now = 1; now <= 20_000; now++) {
      noteAppend(progress, at(now - 1), end(now, now));
      progress.flushed = at(Math.max(0, now - 5));
      noteReport(progress, end(now, now));
      expect(lagMs(progress, end(now, now))).toBeLessThanOrEqual(10);
    }
  });

  it("grows while nothing new is flushed", () => {
    const progress = progressOf(2, { flushed: at(3) });
    startLagClock(progress, end(5, 0));
    noteReport(progress, end(6, 1_000));
    expect(lagMs(progress, end(6, 2_000))).toBe(2_000);
  });
});

describe("a member has to leave", () => {
  const leader = { ...end(10, 10_000), highWatermark: at(6), settings: { ...defaultSettings, lagRecordsMax: 5 } };
  test.each([
    { says: "not while it has one full lag time to fetch from a new leader (R9)", change: {}, reason: undefined },
    { says: "when it lags too long", change: { caughtUpMs: -1 }, reason: "2 not caught up for 10001 ms" },
    { says: "when it lags too far", change: { flushed: at(4), verified: at(9) }, reason: "2 lags 6 records" },
    { says: "at once when it lost what was counted", change: { lost: true }, reason: "2 lost what it had reported" },
    {
      says: "at once when it lacks committed records",
      change: { verified: at(5) },
      reason: "2 lacks committed records from 5 on",
    },
    { says: "not when it has what is committed", change: { verified: at(6), flushed: at(6) }, reason: undefined },
  ])("$says", ({ change, reason }) => {
    expect(reasonToRemove(progressOf(2, change), leader)).toBe(reason);
  });
});

describe("a replica may return", () => {
  const leader = {
    logEnd: at(20),
    highWatermark: at(6),
    epochStart: at(10),
    settings: { ...defaultSettings, lagRecordsMax: 8 },
    guards: allGuards,
  };
  test.each([
    { says: "when it flushed up to the high watermark and the epoch's start", change: { flushed: at(12) }, may: true },
    { says: "not below the start of the leader's epoch", change: { flushed: at(9) }, may: false },
    { says: "not while it would have to leave at once", change: { flushed: at(11) }, may: false },
    { says: "not without a position", change: {}, may: false },
    {
      says: "not before its broker epoch was carried by a fetch",
      change: { flushed: at(12), proven: false },
      may: false,
    },
  ])("$says", ({ change, may }) => {
    expect(mayReturn(progressOf(2, { proven: true, ...change }), leader)).toBe(may);
  });
});
