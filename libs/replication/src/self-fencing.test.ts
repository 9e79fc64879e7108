import { describe, expect, test } from "vitest";
import { silenceThatFences } from "./self-fencing.ts";
import { broker, brokers, state } from "./testing/values.ts";

describe("a leader fences itself", () => {
  const leader = { self: broker(1), sessionTimeoutMs: 6_000, uncleanElection: false, nowMs: 10_000, state: state() };
  const alone = state({ isr: brokers(1), elr: brokers(1) });
  const silent = { controllerMs: 1_000, followerMs: 2_000, electedMs: 0 };

  test.each([
    { says: "when it heard nobody for a session timeout", heard: silent, change: {}, fences: 8_000 },
    { says: "not while it hears a follower", heard: { ...silent, followerMs: 4_000 }, change: {}, fences: undefined },
    {
      says: "not while it hears the controller",
      heard: { ...silent, controllerMs: 9_000 },
      change: {},
      fences: undefined,
    },
    { says: "not right after its election", heard: { ...silent, electedMs: 5_000 }, change: {}, fences: undefined },
    { says: "not when nobody else is eligible", heard: silent, change: { state: alone }, fences: undefined },
    {
      says: "when an ELR member is eligible",
      heard: silent,
      change: { state: state({ isr: brokers(1), elr: brokers(2) }) },
      fences: 8_000,
    },
    {
      says: "when anybody may be elected uncleanly",
      heard: silent,
      change: { state: alone, uncleanElection: true },
      fences: 8_000,
    },
  ])("$says", ({ heard, change, fences }) => {
    expect(silenceThatFences(heard, { ...leader, ...change })).toBe(fences);
  });
});
