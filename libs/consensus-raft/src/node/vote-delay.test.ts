import { type Message, term } from "@tidemark/raft";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createManualCluster } from "../testing/manual-cluster.ts";
import { hardState, ids, ownId, snapshotMeta } from "../testing/storage-fixture.ts";
import { defaultTiming, durationsOf } from "./timing.ts";
import { createVoteDelay } from "./vote-delay.ts";

const [self = ownId, candidate = ownId] = ids;
const last = { index: snapshotMeta(1, 1, 0).index, term: term(1) };
const envelope = { from: candidate, to: self, term: term(4), last } as const;
const preVote: Message = { ...envelope, kind: "preVoteRequest", forTerm: term(5) };
const vote: Message = { ...envelope, kind: "voteRequest", transfer: false };

function started(ofTerm: number) {
  const time = createManualTime();
  const start = { hardState: hardState(ofTerm), snapshot: snapshotMeta(1, 1, 0), entries: [] };
  return { time, delay: createVoteDelay({ clock: time.clock, durations: durationsOf(defaultTiming), start }) };
}

describe("a voter that was started again", () => {
  it("helps nobody to be elected until the lease has ended of whom it may have answered before", async () => {
    const { time, delay } = started(3);
    await time.advance(durationsOf(defaultTiming).leaseMs);
    expect([preVote, vote].map((message) => delay.covers(message))).toEqual([true, true]);
    await time.advance(defaultTiming.electionTimeoutMs - durationsOf(defaultTiming).leaseMs);
    expect([preVote, vote].map((message) => delay.covers(message))).toEqual([false, false]);
  });

  it("votes at once where the leader itself asked for the election, and hears everything else", () => {
    const { delay } = started(3);
    expect(delay.covers({ ...vote, transfer: true })).toBe(false);
    expect(delay.covers({ kind: "timeoutNow", from: candidate, to: self, term: term(3) })).toBe(false);
  });

  it("votes at once where nobody has led since it was formatted", () => {
    const { delay } = started(1);
    expect([preVote, vote].map((message) => delay.covers(message))).toEqual([false, false]);
  });

  it("never lets another lead while the leader that it heard before may believe in itself", async () => {
    for (let offsetMs = 0; offsetMs < 600; offsetMs += 60) {
      const cluster = await createManualCluster();
      await cluster.joinAll();
      cluster.cut(3);
      await cluster.wait(1_500 + offsetMs);
      cluster.kill(2);
      cluster.cut(1);
      const restarting = cluster.restartNode(2);
      cluster.heal(3);
      await cluster.settled(restarting);
      const believing = () => [1, 2, 3].filter((node) => cluster.stores().get(node)?.node.lease.term() !== undefined);
      await cluster.until(() => {
        expect(believing().length, `${offsetMs} ms later`).toBeLessThan(2);
        return believing().some((node) => node !== 1);
      }, "another leads");
      await cluster.close();
    }
  });
});
