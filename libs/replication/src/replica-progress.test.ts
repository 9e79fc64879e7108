import { describe, expect, it } from "vitest";
import { allGuards } from "./guards.ts";
import { admitBrokerEpoch, admitSession, recordFlushed, recordVerified } from "./replica-progress.ts";
import { at, incarnation, progressOf, session } from "./testing/values.ts";

const known = () => {
  const progress = progressOf(2);
  admitBrokerEpoch(progress, incarnation(3), allGuards);
  admitSession(progress, session(5));
  recordVerified(progress, { fetched: at(10), flushed: at(8) });
  return progress;
};

describe("what a leader knows of a replica", () => {
  it("is its flushed offset, never above what it fetched", () => {
    const progress = progressOf(2);
    recordVerified(progress, { fetched: at(6), flushed: at(9) });
    expect(progress).toMatchObject({ verified: 6n, flushed: 6n });
  });

  it("does not fall by messages of one session that overtake each other", () => {
    const progress = known();
    expect(recordVerified(progress, { fetched: at(7), flushed: at(7) })).toBeUndefined();
    expect(progress).toMatchObject({ verified: 10n, flushed: 8n });
  });

  it("takes the end of a flush up to the verified position", () => {
    const progress = known();
    recordFlushed(progress, at(15), allGuards);
    expect(progress.flushed).toBe(10n);
  });

  it("takes no flush of a session that verified nothing yet", () => {
    const progress = known();
    expect(admitSession(progress, session(6))).toBe(true);
    recordFlushed(progress, at(15), allGuards);
    expect(progress.flushed).toBe(8n);
  });

  it("shows a loss when a newer session has flushed less than was counted", () => {
    const progress = known();
    admitSession(progress, session(6));
    expect(recordVerified(progress, { fetched: at(9), flushed: at(7) })).toBe(8n);
    expect(progress.flushed).toBe(7n);
  });

  it("shows no loss when it has less that was never counted", () => {
    const progress = known();
    admitSession(progress, session(6));
    expect(recordVerified(progress, { fetched: at(8), flushed: at(8) })).toBeUndefined();
  });

  it("ignores older sessions and older incarnations", () => {
    const progress = known();
    expect(admitSession(progress, session(4))).toBe(false);
    expect(admitBrokerEpoch(progress, incarnation(2), allGuards)).toBe(false);
  });

  it("is unknown of a newer incarnation, whose sessions count anew", () => {
    const progress = known();
    expect(admitBrokerEpoch(progress, incarnation(4), allGuards)).toBe(true);
    expect(progress).toMatchObject({ verified: undefined, flushed: undefined, proven: false });
    expect(admitSession(progress, session(1))).toBe(true);
  });
});
