import { describe, expect, it } from "vitest";
import type { Partition } from "./partition.ts";
import type { ReplicaPosition, StandingFetch } from "./replica-messages.ts";
import {
  at,
  broker,
  epoch,
  fetchOf,
  flushed,
  incarnation,
  metadata,
  partition,
  produce,
  request,
  session,
  state,
} from "./testing/values.ts";

/** Broker 1 leads in leader epoch 4; brokers 2 and 3 have shown an empty log, and were sent the first three records. */
function leading() {
  const machine = partition(1);
  machine.step(metadata(state()));
  machine.step(fetchOf(2, 0));
  machine.step(fetchOf(3, 0));
  machine.step(produce(1, { records: 3 }));
  machine.step(flushed(3));
  return machine;
}

const ofFollower = { replica: broker(2), brokerEpoch: incarnation(1), leaderEpoch: epoch(4), session: session(1) };

function goesOn(machine: Partition, from: number, change: Partial<StandingFetch> = {}, nowMs = 0) {
  const fetch = { ...ofFollower, fetchOffset: at(from), ...change };
  return machine.step({ kind: "standingFetch", requestId: request(77), fetch, deadlineMs: nowMs + 500, nowMs });
}

function reports(machine: Partition, replica: number, upTo: number, position?: ReplicaPosition, change: object = {}) {
  const report = { ...ofFollower, replica: broker(replica), flushed: at(upTo), position, ...change };
  return machine.step({ kind: "replicaFlushed", report, nowMs: 1 });
}

const inEpoch4 = (fetched: number): ReplicaPosition => ({ fetched: at(fetched), lastFetchedEpoch: epoch(4) });
const positionsOf = (machine: Partition, id: number) => {
  const found = machine.view(0).leadership?.replicas.find(({ replica }) => replica === id);
  return [found?.verified, found?.flushed];
};

describe("a fetch that stands", () => {
  it("is answered with what there is, and with what comes", () => {
    const machine = leading();
    expect(goesOn(machine, 1).answer).toMatchObject([{ kind: "replicaRead", requestId: 77, from: 1n, upTo: 3n }]);
    expect(goesOn(machine, 3).answer).toEqual([]);
    expect(machine.step(produce(2)).answer).toMatchObject([{ kind: "replicaRead", requestId: 77, from: 3n, upTo: 4n }]);
  });

  it("is answered in vain at its deadline, and from below the log start", () => {
    const machine = leading();
    goesOn(machine, 3);
    const inVain = machine.step({ kind: "tick", nowMs: 600, controllerHeardMs: 600 });
    expect(inVain.answer).toMatchObject([{ kind: "replicaRead", requestId: 77, from: 3n, upTo: 3n }]);
    for (const id of [2, 3]) machine.step(fetchOf(id, 3));
    machine.step({ kind: "logStartAdvanced", logStart: at(2) });
    expect(goesOn(machine, 1).answer).toMatchObject([{ kind: "replicaRead", from: 1n, upTo: 1n }]);
  });

  it("counts for nothing: neither as what the follower has nor as a sign of life", () => {
    const machine = leading();
    machine.step(fetchOf(3, 3));
    goesOn(machine, 3);
    expect([machine.highWatermark, positionsOf(machine, 2)]).toEqual([0n, [0n, 0n]]);
    for (let nowMs = 1000; nowMs <= 20_000; nowMs += 1000) goesOn(machine, 3, {}, nowMs);
    const { trace } = machine.step({ kind: "tick", nowMs: 20_000, controllerHeardMs: 0 });
    expect(trace).toContainEqual(expect.objectContaining({ kind: "fencedItself" }));
  });

  it.each([
    ["an older session", { session: session(0) }, "STALE_SESSION"],
    ["a session that the follower has not spoken in", { session: session(2) }, "STALE_SESSION"],
    ["another incarnation", { brokerEpoch: incarnation(2) }, "STALE_SESSION"],
    ["another leader epoch", { leaderEpoch: epoch(3) }, "FENCED_LEADER_EPOCH"],
    ["a broker that holds no replica", { replica: broker(9) }, "NOT_A_REPLICA"],
  ])("of %s is refused, and changes nothing", (_, change, reason) => {
    const machine = leading();
    expect(goesOn(machine, 0, change).answer).toMatchObject([{ kind: "replicaRefused", requestId: 77, reason }]);
    expect(goesOn(machine, 0).answer).toMatchObject([{ kind: "replicaRead", upTo: 3n }]);
  });

  it("is refused by a broker that does not lead", () => {
    expect(goesOn(partition(1), 0).answer).toMatchObject([{ kind: "replicaRefused", reason: "NOT_LEADER" }]);
  });
});

describe("a report of a flush that says where the log ends", () => {
  it("is counted as far as the log agrees with the leader's (R2)", () => {
    const machine = leading();
    reports(machine, 2, 3, inEpoch4(3));
    expect(positionsOf(machine, 2)).toEqual([3n, 3n]);
    reports(machine, 3, 2, inEpoch4(3));
    expect([machine.highWatermark, positionsOf(machine, 3)]).toEqual([2n, [3n, 2n]]);
  });

  it("is counted up to what a fetch has shown where it does not say so", () => {
    const machine = leading();
    reports(machine, 2, 3);
    expect(positionsOf(machine, 2)).toEqual([0n, 0n]);
  });

  it.each([
    ["of another leader epoch", { fetched: at(3), lastFetchedEpoch: epoch(3) }],
    ["beyond the leader's own", inEpoch4(4)],
  ])("is not counted where the log is one %s", (_, position) => {
    const machine = leading();
    reports(machine, 2, 3, position);
    expect(positionsOf(machine, 2)).toEqual([0n, 0n]);
  });

  it("is not counted in a session that no fetch has begun", () => {
    const machine = leading();
    reports(machine, 2, 3, inEpoch4(3), { session: session(2) });
    expect(positionsOf(machine, 2)).toEqual([undefined, 0n]);
  });

  it("does not take back what an earlier message has shown", () => {
    const machine = leading();
    machine.step(fetchOf(2, 3));
    reports(machine, 2, 1, inEpoch4(1));
    expect(positionsOf(machine, 2)).toEqual([3n, 3n]);
  });
});
