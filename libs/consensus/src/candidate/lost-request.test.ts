import { controllerEpoch, revision } from "@tidemark/ids";
import { describe, expect, it, test } from "vitest";
import type { AppendValue } from "../records.ts";
import type { Answer } from "./exchange.ts";
import type { Fence } from "./fence.ts";
import { allCandidateGuards } from "./guards.ts";
import { type Attempt, settleLostRequest } from "./lost-request.ts";

const epoch = controllerEpoch(3);
const value = (sequence: bigint, attempt: string): AppendValue => ({ epoch, sequence, attempt });
const before = value(7n, "before");

/** A store that holds each of `held` in turn, then the last for good, and answers as told. */
function setting(held: readonly (AppendValue | "malformed" | "lost")[], answers: readonly Answer[] = []) {
  const sent: AppendValue[] = [];
  let current = before;
  let reads = 0;
  const fence: Fence = {
    batchesMax: 256,
    current: () => current,
    next: (count) => Array.from({ length: count }, () => value(current.sequence + 1n, `filler ${sent.length}`)),
    moveTo(next) {
      current = next;
    },
    async request(values) {
      sent.push(...values);
      return answers[sent.length - 1] ?? { kind: "lost" };
    },
  };
  const attempt: Attempt = { values: [value(8n, "a"), value(9n, "b")], seen: new Map(), skipped: false };
  const readAppend = async () => held[Math.min(reads++, held.length - 1)] ?? "lost";
  return {
    attempt,
    sent,
    fence,
    settle: () => settleLostRequest(attempt, { fence, readAppend, guards: allCandidateGuards }),
  };
}

describe("a request whose answer was lost", () => {
  it("was committed where its last value is there, at the revisions that the watch saw", async () => {
    const s = setting([value(9n, "b")]);
    s.attempt.seen.set("a", revision(40n));
    s.attempt.seen.set("b", revision(41n));
    expect(await s.settle()).toEqual({
      kind: "applied",
      outcomes: [
        { kind: "committed", revision: 40n },
        { kind: "committed", revision: 41n },
      ],
    });
    expect(s.fence.current().attempt).toBe("b");
    expect(s.sent).toEqual([]);
  });

  it("is not given up as long as it may still arrive: a batch of nothing has to take its place first", async () => {
    const s = setting([before, before, value(8n, "filler 1")]);
    expect(await s.settle()).toEqual({ kind: "notApplied" });
    expect(s.sent.map(({ attempt }) => attempt)).toEqual(["filler 0", "filler 1"]);
    expect(s.fence.current().attempt).toBe("filler 1");
  });

  it("was committed all the same where it arrived before the batch of nothing", async () => {
    const s = setting([before, value(9n, "b")], [{ kind: "conflict" }]);
    s.attempt.seen.set("a", revision(40n));
    s.attempt.seen.set("b", revision(41n));
    expect(await s.settle()).toMatchObject({ kind: "applied" });
  });

  it("is settled by the batch of nothing of any earlier try", async () => {
    const s = setting([before, before, value(8n, "filler 0")]);
    expect(await s.settle()).toEqual({ kind: "notApplied" });
  });

  test.each([
    ["another's value", { epoch: controllerEpoch(4), sequence: 0n, attempt: "other" }],
    ["nothing that parses", "malformed"],
  ] as const)("was never applied where %s is there and the watch did not see it", async (_, held) => {
    expect(await setting([held]).settle()).toEqual({ kind: "fenced" });
  });

  it("was committed where another's value is there and the watch saw it before", async () => {
    const s = setting([{ epoch: controllerEpoch(4), sequence: 0n, attempt: "other" }]);
    s.attempt.seen.set("a", revision(40n));
    s.attempt.seen.set("b", revision(41n));
    expect(await s.settle()).toMatchObject({ kind: "applied" });
  });

  it("is unknown where another's value is there and the watch skipped what could have shown it", async () => {
    const s = setting([{ epoch: controllerEpoch(4), sequence: 0n, attempt: "other" }]);
    s.attempt.skipped = true;
    expect(await s.settle()).toMatchObject({ kind: "unknown" });
  });

  it("stays unknown where the session is lost over it", async () => {
    expect(await setting(["lost"]).settle()).toMatchObject({ kind: "unknown" });
  });

  test.each([
    [{ kind: "noSpace", message: "full" }],
    [{ kind: "failed", message: "broken" }],
    [{ kind: "unknown", message: "broken" }],
  ] as const)("stays unknown where the batch of nothing gets %o", async (answer) => {
    expect(await setting([before], [answer]).settle()).toEqual({ kind: "unknown", message: answer.message });
  });
});
