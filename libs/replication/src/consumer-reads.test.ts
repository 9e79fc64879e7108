import { describe, expect, it, test } from "vitest";
import { decideRead } from "./consumer-reads.ts";
import { createReplicaLog } from "./replica-log.ts";
import { at, epoch, epochs, log } from "./testing/values.ts";

const bounds = (highWatermark: number, change: { recovering?: boolean } = {}) => ({
  log: createReplicaLog(log(20, epochs([3, 2], [4, 10], [5, 15]), { start: 2 })),
  highWatermark: at(highWatermark),
  epochStart: at(15),
  recovering: false,
  unsettledWaits: true,
  ...change,
});
const fetch = (offset: number, change: { linearizable?: boolean; lastReadEpoch?: number } = {}) => ({
  offset: at(offset),
  linearizable: change.linearizable ?? false,
  lastReadEpoch: change.lastReadEpoch === undefined ? undefined : epoch(change.lastReadEpoch),
});

describe("a consumer's fetch", () => {
  test.each([
    { says: "reads up to the high watermark", offset: 2, hw: 16, decides: { kind: "read", upTo: 16n } },
    { says: "waits at the high watermark", offset: 16, hw: 16, decides: { kind: "wait" } },
    { says: "waits between the high watermark and the log end", offset: 19, hw: 16, decides: { kind: "wait" } },
    { says: "waits at the log end", offset: 20, hw: 16, decides: { kind: "wait" } },
    {
      says: "is out of range above the log end",
      offset: 21,
      hw: 16,
      decides: { kind: "refuse", reason: "OFFSET_OUT_OF_RANGE" },
    },
    {
      says: "is out of range below the log start",
      offset: 1,
      hw: 16,
      decides: { kind: "refuse", reason: "OFFSET_OUT_OF_RANGE" },
    },
    { says: "waits above an unsettled high watermark (R14)", offset: 14, hw: 12, decides: { kind: "wait" } },
    { says: "reads below an unsettled high watermark", offset: 11, hw: 12, decides: { kind: "read", upTo: 12n } },
    {
      says: "is never out of range while unsettled: above",
      offset: 21,
      hw: 12,
      decides: { kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" },
    },
    {
      says: "is never out of range while unsettled: below",
      offset: 1,
      hw: 12,
      decides: { kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" },
    },
  ])("$says", ({ offset, hw, decides }) => {
    expect(decideRead(fetch(offset), bounds(hw))).toEqual(decides);
  });

  it("is not answered by a leader that recovers from an unclean election", () => {
    const decision = decideRead(fetch(2), bounds(16, { recovering: true }));
    expect(decision).toEqual({ kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" });
  });

  it("that has to be linearizable is not answered while unsettled", () => {
    const decision = decideRead(fetch(2, { linearizable: true }), bounds(12));
    expect(decision).toEqual({ kind: "refuse", reason: "OFFSET_NOT_AVAILABLE" });
  });

  it("learns where the log parts from what it read (KIP-320)", () => {
    expect(decideRead(fetch(12, { lastReadEpoch: 3 }), bounds(16))).toEqual({
      kind: "refuse",
      reason: "LOG_TRUNCATED",
      divergence: { leaderEpoch: 3, endOffset: 10n },
    });
    expect(decideRead(fetch(12, { lastReadEpoch: 4 }), bounds(16))).toEqual({ kind: "read", upTo: 16n });
  });
});
