import { controllerEpoch, revision } from "@tidemark/ids";
import { createDeferred, createManualTime } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import type { AppendOutcome } from "../consensus.ts";
import type { ConsensusEvent } from "../events.ts";
import type { AppendValue } from "../records.ts";
import type { StoreChange } from "../store/store-link.ts";
import type { Answer } from "./exchange.ts";
import type { Fence } from "./fence.ts";
import { allCandidateGuards } from "./guards.ts";
import { createTerm } from "./term.ts";

const epoch = controllerEpoch(3);
const change = (n: number): readonly StoreChange[] => [{ kind: "delete", key: `/${n}` }];

/** A term whose requests are answered by hand, and what it did. */
function setting(batchesMax = 256) {
  const requests: { readonly batches: number; readonly answer: (answer: Answer) => void }[] = [];
  const events: ConsensusEvent[] = [];
  let current: AppendValue = { epoch, sequence: 0n, attempt: "claim" };
  let overs = 0;
  const fence: Fence = {
    batchesMax,
    current: () => current,
    next: (count) =>
      Array.from({ length: count }, (_, at) => ({
        epoch,
        sequence: current.sequence + 1n + BigInt(at),
        attempt: `${requests.length}/${at}`,
      })),
    moveTo(next) {
      current = next;
    },
    request(_, batches) {
      const answered = createDeferred<Answer>();
      requests.push({ batches: batches.length, answer: answered.resolve });
      return answered.promise;
    },
  };
  const term = createTerm({
    epoch,
    fence,
    guards: allCandidateGuards,
    clock: createManualTime().clock,
    onEvent: (event) => events.push(event),
    onOver: () => {
      overs += 1;
    },
    readAppend: async () => "lost",
  });
  return { term, requests, events, fence, overs: () => overs };
}

/** Answers the newest request, and lets what follows happen. */
async function answer(s: ReturnType<typeof setting>, given: Answer): Promise<void> {
  s.requests.at(-1)?.answer(given);
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const committed = (first: bigint, count: number): Answer => ({
  kind: "committed",
  revisions: Array.from({ length: count }, (_, at) => revision(first + BigInt(at))),
});

describe("the appends of a term", () => {
  it("go out one request at a time, and all that waits goes with the next", async () => {
    const s = setting();
    const first = s.term.append(change(0));
    const others = [1, 2, 3].map((n) => s.term.append(change(n)));
    expect(s.requests.map(({ batches }) => batches)).toEqual([1]);
    await answer(s, committed(10n, 1));
    expect(s.requests.map(({ batches }) => batches)).toEqual([1, 3]);
    await answer(s, committed(11n, 3));
    expect(await Promise.all([first, ...others])).toEqual(
      [10n, 11n, 12n, 13n].map((at) => ({ kind: "committed", revision: at })),
    );
    expect(s.fence.current().sequence).toBe(4n);
    expect(s.events).toMatchObject([
      { kind: "appended", batches: 1, revision: 10n },
      { kind: "appended", batches: 3, revision: 13n },
    ]);
  });

  it("take no more along than the store takes in one request", async () => {
    const s = setting(1);
    const appends = [0, 1, 2].map((n) => s.term.append(change(n)));
    for (const at of [10n, 11n, 12n]) await answer(s, committed(at, 1));
    expect(s.requests.map(({ batches }) => batches)).toEqual([1, 1, 1]);
    expect(await Promise.all(appends)).toEqual([10n, 11n, 12n].map((at) => ({ kind: "committed", revision: at })));
  });

  it("are refused by a full disk with the fence as it was, and go on", async () => {
    const s = setting();
    const first = s.term.append(change(0));
    await answer(s, { kind: "noSpace", message: "full" });
    expect(await first).toMatchObject({ kind: "refused", reason: "NO_SPACE" });
    expect(s.fence.current().attempt).toBe("claim");
    const second = s.term.append(change(1));
    await answer(s, committed(10n, 1));
    expect(await second).toEqual({ kind: "committed", revision: 10n });
    expect(s.overs()).toBe(0);
  });

  test.each<[Answer, Partial<AppendOutcome> & { reason?: string }]>([
    [{ kind: "conflict" }, { kind: "refused", reason: "FENCED" }],
    [{ kind: "unknown", message: "broken" }, { kind: "unknown" }],
    [{ kind: "lost" }, { kind: "unknown" }],
  ])("end with the answer %o: it is told as it is, and what waits is refused unsent", async (given, outcome) => {
    const s = setting();
    const first = s.term.append(change(0));
    const waiting = s.term.append(change(1));
    await answer(s, given);
    expect(await first).toMatchObject(outcome);
    expect(await waiting).toMatchObject({ kind: "refused", reason: "FENCED" });
    expect(await s.term.append(change(2))).toMatchObject({ kind: "refused", reason: "FENCED" });
    expect(s.requests).toHaveLength(1);
    expect(s.overs()).toBe(1);
  });

  it("that wait when the term is ended are refused, and the one on its way gets its outcome", async () => {
    const s = setting();
    const first = s.term.append(change(0));
    const waiting = s.term.append(change(1));
    s.term.end("CLOSED", "closed");
    s.term.end("FENCED", "a second end changes nothing");
    await answer(s, committed(10n, 1));
    expect(await first).toEqual({ kind: "committed", revision: 10n });
    expect(await waiting).toMatchObject({ kind: "refused", reason: "CLOSED" });
    expect(s.requests).toHaveLength(1);
  });
});
