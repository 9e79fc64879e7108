import { describe, expect, it } from "vitest";
import type { ReplicaResponse } from "./replica-messages.ts";
import { at, broker, epoch, epochs, flushed, log, metadata, partition, session, state } from "./testing/values.ts";

const batch = (base: number, end: number, leaderEpoch = 4) => ({
  baseOffset: at(base),
  endOffset: at(end),
  leaderEpoch: epoch(leaderEpoch),
});
const records = (batches: readonly ReturnType<typeof batch>[], change: { hw?: number; logStart?: number } = {}) =>
  ({ kind: "records", batches, highWatermark: at(change.hw ?? 0), logStart: at(change.logStart ?? 0) }) as const;
const response = (content: ReplicaResponse["content"], change: Partial<ReplicaResponse> = {}, nowMs = 1) =>
  ({
    kind: "replicaResponse",
    response: { from: broker(1), leaderEpoch: epoch(4), session: session(1), content, ...change },
    nowMs,
  }) as const;

/** Broker 2 follows broker 1 in leader epoch 4, with a log of ten records of epoch 3. */
function follower(has = 10) {
  const machine = partition(2, log(has, has > 0 ? epochs([3, 0]) : []), 5);
  const begun = machine.step(metadata(state()));
  return { machine, begun };
}

describe("a follower", () => {
  it("asks from its log end, cuts nothing by itself, and says what it has flushed", () => {
    const { begun } = follower();
    expect(begun.persist).toEqual([]);
    expect(begun.send).toMatchObject([
      {
        kind: "fetch",
        leader: 1,
        fetch: { fetchOffset: 10n, fetched: 10n, lastFetchedEpoch: 3, flushed: 10n, session: 1 },
      },
    ]);
  });

  it("appends what continues its log and asks on in the same session", () => {
    const { machine } = follower();
    const out = machine.step(response(records([batch(10, 12), batch(12, 15)])));
    expect(out.persist).toEqual([{ kind: "appendAsFollower", baseOffset: 10n, endOffset: 15n }]);
    expect(out.send).toMatchObject([{ fetch: { fetched: 15n, flushed: 10n, lastFetchedEpoch: 4, session: 1 } }]);
  });

  it("takes what compaction left: gaps between batches, and before the first (L7)", () => {
    const { machine } = follower();
    const out = machine.step(response(records([batch(12, 13), batch(15, 16)])));
    expect(out.persist).toEqual([{ kind: "appendAsFollower", baseOffset: 10n, endOffset: 16n }]);
    expect(out.send).toMatchObject([{ fetch: { fetchOffset: 16n, fetched: 16n, session: 1 } }]);
  });

  it("reports the end of a flush at once", () => {
    const { machine } = follower();
    machine.step(response(records([batch(10, 12)])));
    expect(machine.step(flushed(12)).send).toMatchObject([
      {
        kind: "flushedReport",
        report: { flushed: 12n, session: 1, position: { fetched: 12n, lastFetchedEpoch: 4 } },
      },
    ]);
  });

  it("takes the leader's high watermark as far as it has flushed itself (R2)", () => {
    const { machine } = follower();
    machine.step(response(records([batch(10, 12)], { hw: 12 })));
    expect(machine.view(0).highWatermark).toBe(10n);
    machine.step(flushed(12));
    expect(machine.view(0).highWatermark).toBe(12n);
  });

  it.each([
    ["what it has already", [batch(9, 11)]],
    ["batches out of order", [batch(10, 12), batch(11, 13)]],
    ["an empty batch", [batch(10, 10)]],
    ["a falling leader epoch", [batch(10, 11, 2)]],
    ["a leader epoch above the leader's own", [batch(10, 11, 5)]],
  ])("appends nothing of an answer with %s, and begins a new session", (_, batches) => {
    const { machine } = follower();
    const out = machine.step(response(records(batches)));
    expect(out.persist).toEqual([]);
    expect(out.send).toMatchObject([{ fetch: { fetched: 10n, session: 2 } }]);
    expect(machine.view(0).logEnd).toBe(10n);
  });

  it("takes batches with a gap between them, which compaction leaves (L7)", () => {
    const { machine } = follower();
    expect(machine.step(response(records([batch(10, 12), batch(20, 21)]))).persist).toHaveLength(1);
    expect(machine.view(0).logEnd).toBe(21n);
  });

  it.each([
    ["another broker", { from: broker(3) }],
    ["an older leader epoch", { leaderEpoch: epoch(3) }],
    ["an older session", { session: session(0) }],
  ])("drops an answer of %s (R7)", (_, change) => {
    const { machine } = follower();
    const out = machine.step(response(records([batch(10, 12)]), change));
    expect([out.persist, out.send]).toEqual([[], []]);
  });

  it("begins anew where it held nothing that could agree", () => {
    const { machine } = follower(0);
    const diverging = { kind: "diverging", divergence: { leaderEpoch: epoch(-1), endOffset: at(7) } } as const;
    expect(machine.step(response(diverging)).persist).toMatchObject([{ kind: "restart", offset: 7n }]);
  });

  it("begins anew where the leader has nothing as old as its last epoch, and is never shorter than the log start", () => {
    const { machine } = follower();
    const diverging = { kind: "diverging", divergence: { leaderEpoch: epoch(-1), endOffset: at(7) } } as const;
    expect(machine.step(response(diverging)).persist).toMatchObject([{ kind: "restart", offset: 7n }]);
  });

  it("throws nothing away when the answer to a late fetch says that it is behind the log start", () => {
    const { machine } = follower();
    const out = machine.step(response({ kind: "behindLogStart", logStart: at(7) }));
    expect(out.persist).toEqual([]);
    expect(out.send).toMatchObject([{ fetch: { fetched: 10n, session: 2 } }]);
  });

  it("counts a new beginning as flushed when its disk has it, and not before", () => {
    const { machine } = follower();
    const out = machine.step(response({ kind: "behindLogStart", logStart: at(30) }));
    expect(out.send).toMatchObject([{ fetch: { fetched: 30n, flushed: 10n, session: 2 } }]);
    const done = machine.step({ kind: "flushed", offset: at(30), generation: 1 as never, nowMs: 2 });
    expect(done.send).toMatchObject([{ kind: "flushedReport", report: { flushed: 30n, session: 2 } }]);
  });

  it("counts nothing as flushed because its leader has deleted it", () => {
    const { machine } = follower();
    const out = machine.step(response(records([batch(10, 15)], { hw: 15, logStart: 0 })));
    expect(out.send).toMatchObject([{ fetch: { fetched: 15n, flushed: 10n } }]);
    const deleted = machine.step(response(records([], { hw: 15, logStart: 15 })));
    expect(deleted.send).toMatchObject([{ fetch: { fetched: 15n, flushed: 10n } }]);
  });

  it("begins inside a batch where the log start lies inside it (L7)", () => {
    const { machine } = follower();
    machine.step(response({ kind: "behindLogStart", logStart: at(30) }));
    const out = machine.step(response(records([batch(28, 33)], { hw: 33, logStart: 30 }), { session: session(2) }));
    expect(out.persist).toMatchObject([
      { kind: "restart", offset: 28n },
      { kind: "appendAsFollower", baseOffset: 28n, endOffset: 33n },
      { kind: "advanceLogStart", logStart: 30n },
    ]);
    expect(machine.view(0)).toMatchObject({ logStart: 30n, logEnd: 33n });
  });

  it("waits a moment after an error, longer after each more, and asks again in a new session", () => {
    const { machine } = follower();
    const refused = (of: number, nowMs: number) =>
      machine.step(response({ kind: "refused", reason: "UNKNOWN_LEADER_EPOCH" }, { session: session(of) }, nowMs));
    const tick = (nowMs: number) => machine.step({ kind: "tick", nowMs, controllerHeardMs: 0 }).send;
    const pauses: number[] = [];
    let nowMs = 50;
    for (let asked = 1; asked <= 6; asked++) {
      expect(refused(asked, nowMs).send).toEqual([]);
      const dueMs = machine.resumesAtMs ?? Number.NaN;
      expect(tick(dueMs - 1)).toEqual([]);
      expect(tick(dueMs)).toMatchObject([{ fetch: { session: asked + 1 } }]);
      expect(machine.resumesAtMs).toBeUndefined();
      pauses.push(dueMs - nowMs);
      nowMs = dueMs;
    }
    expect(pauses).toEqual([10, 20, 40, 80, 100, 100]);
    machine.step(response(records([]), { session: session(7) }, nowMs));
    refused(7, nowMs);
    expect(machine.resumesAtMs).toBe(nowMs + 10);
  });

  it("asks again when no answer comes", () => {
    const { machine } = follower();
    expect(machine.step({ kind: "tick", nowMs: 1_999, controllerHeardMs: 0 }).send).toEqual([]);
    expect(machine.step({ kind: "tick", nowMs: 2_000, controllerHeardMs: 0 }).send).toMatchObject([
      { fetch: { session: 2 } },
    ]);
  });

  it("goes on with its new broker epoch after it registered anew, in a new session", () => {
    const { machine } = follower();
    const out = machine.step({ kind: "registered", brokerEpoch: 2 as never, nowMs: 5 });
    expect(out.send).toMatchObject([{ fetch: { brokerEpoch: 2, session: 2 } }]);
  });
});
