import { describe, expect, it } from "vitest";
import {
  at,
  broker,
  epoch,
  epochs,
  fetchOf,
  flushed,
  log,
  metadata,
  partition,
  produce,
  state,
} from "./testing/values.ts";

const refusedAt = (from: number, nowMs = 0) => ({ kind: "appendRefused", from: at(from), nowMs }) as const;

describe("a log that took nothing of what was ordered", () => {
  it("ends where it ended: whoever waited is told that nothing was applied, and the leadership goes on", () => {
    const leader = partition(1);
    leader.step(metadata(state({ isr: [broker(1)], minIsr: 1 })));
    leader.step(produce(1, { records: 2 }));
    leader.step(flushed(2));
    leader.step(produce(2));
    leader.step(produce(3, { acks: "leader" }));
    const out = leader.step(refusedAt(2));
    expect(out.answer).toMatchObject([
      { requestId: 2, refusal: { reason: "APPEND_REFUSED", outcome: "NOT_APPLIED" } },
      { requestId: 3, refusal: { reason: "APPEND_REFUSED", outcome: "NOT_APPLIED" } },
    ]);
    expect(leader.view(0)).toMatchObject({ role: "leader", logEnd: 2n, highWatermark: 2n });
    expect(leader.step(produce(4)).persist).toMatchObject([{ baseOffset: 2n, endOffset: 3n, leaderEpoch: 4 }]);
  });

  it("leaves what it took a part of in doubt", () => {
    const leader = partition(1);
    leader.step(metadata(state({ isr: [broker(1)], minIsr: 1 })));
    leader.step(produce(1, { records: 4 }));
    expect(leader.step(refusedAt(2)).answer).toMatchObject([
      { refusal: { outcome: "UNKNOWN", range: { baseOffset: 0n, endOffset: 4n } } },
    ]);
  });

  it("is not believed of an offset at or above its end", () => {
    const leader = partition(1);
    leader.step(metadata(state({ isr: [broker(1)], minIsr: 1 })));
    leader.step(produce(1));
    expect(leader.step(refusedAt(1))).toMatchObject({ answer: [], trace: [] });
  });

  it("is asked for again by a follower, in a new session and after a pause", () => {
    const follower = partition(2, log(5, epochs([4, 0])));
    const [asked] = follower.step(metadata(state())).send;
    if (asked?.kind !== "fetch") throw new Error("did not ask");
    const content = {
      kind: "records",
      batches: [{ baseOffset: at(5), endOffset: at(8), leaderEpoch: epoch(4) }],
      highWatermark: at(5),
      logStart: at(0),
    } as const;
    const { session } = asked.fetch;
    follower.step({
      kind: "replicaResponse",
      response: { from: broker(1), leaderEpoch: epoch(4), session, content },
      nowMs: 0,
    });
    expect(follower.step(refusedAt(5)).send).toEqual([]);
    const [again] = follower.step({ kind: "tick", nowMs: 100, controllerHeardMs: 0 }).send;
    expect(again).toMatchObject({ kind: "fetch", fetch: { fetchOffset: 5n, fetched: 5n, lastFetchedEpoch: 4 } });
    expect(again?.kind === "fetch" && again.fetch.session > session).toBe(true);
  });

  it("keeps the start of the leader epoch that has no record yet", () => {
    const leader = partition(1, log(3, epochs([2, 0])));
    leader.step(metadata(state({ isr: [broker(1)], minIsr: 1 })));
    leader.step(produce(1));
    leader.step(refusedAt(3));
    expect(leader.view(0).leaderEpochs).toEqual(epochs([2, 0], [4, 3]));
    expect(leader.step(fetchOf(2, 3, { lastFetchedEpoch: epoch(2) })).trace).not.toContainEqual(
      expect.objectContaining({ kind: "diverging" }),
    );
  });
});
