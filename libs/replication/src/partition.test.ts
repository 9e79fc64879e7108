import { partitionEpoch } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { explainOffset } from "./explain-offset.ts";
import {
  at,
  broker,
  brokers,
  epoch,
  epochs,
  fetchOf,
  flushed,
  incarnation,
  log,
  metadata,
  partition,
  produce,
  request,
  session,
  state,
} from "./testing/values.ts";

/** Broker 1 leads epoch 4; 2 and 3 follow and have everything. */
function leading(change: Parameters<typeof state>[0] = {}) {
  const machine = partition(1);
  machine.step(metadata(state(change)));
  machine.step(fetchOf(2, 0));
  machine.step(fetchOf(3, 0));
  return machine;
}
const next = (change: Parameters<typeof state>[0], partitionEpochIs = 2) =>
  metadata(state({ ...change, partitionEpoch: partitionEpoch(partitionEpochIs) }), 1);

describe("a partition takes its role from the metadata", () => {
  it("and leads nothing before it came", () => {
    const out = partition(1).step(produce(1));
    expect(out.answer).toMatchObject([
      { refusal: { reason: "NOT_LEADER", outcome: "NOT_APPLIED", hint: { leader: undefined } } },
    ]);
  });

  it("writes the start of its leader epoch first of all (R8)", () => {
    const machine = partition(1, log(7, epochs([3, 0])));
    expect(machine.step(metadata(state())).persist).toEqual([{ kind: "epochStart", leaderEpoch: 4, startOffset: 7n }]);
  });

  it("ignores what is not newer", () => {
    const machine = leading();
    const older = machine.step(next({ isr: brokers(1) }, 1));
    expect(older.trace).toMatchObject([{ kind: "staleMetadata" }]);
    const olderLeader = machine.step(next({ leader: broker(2), leaderEpoch: epoch(3) }, 5));
    expect(olderLeader.trace).toMatchObject([{ kind: "staleMetadata" }]);
    expect(machine.view(0).role).toBe("leader");
  });

  it("leads a leader epoch once: not one that its log holds already", () => {
    const machine = partition(1, log(7, epochs([4, 0])));
    expect(machine.step(metadata(state())).persist).toEqual([]);
    expect(machine.view(0).role).toBe("resigned");
    machine.step(next({ leaderEpoch: epoch(5) }));
    expect(machine.view(0).role).toBe("leader");
  });

  it("serves nothing where a later controller tells of less than was known, until a newer leader epoch", () => {
    const machine = leading();
    machine.step(next({ isr: brokers(1, 2) }, 6));
    const restored = metadata(state({ partitionEpoch: partitionEpoch(3) }), 7);
    const told = { ...restored, controllerEpoch: 1_000_000 as typeof restored.controllerEpoch };
    expect(machine.step(told).trace).toMatchObject([{ kind: "staleMetadata" }, { kind: "metadataRegressed" }]);
    expect(machine.view(0)).toMatchObject({ role: "regressed", regressedFrom: 4 });
    expect(machine.seenBeyond).toEqual({ leaderEpoch: 4, partitionEpoch: 6 });
    expect(machine.step(produce(1)).answer).toMatchObject([{ refusal: { reason: "METADATA_REGRESSED" } }]);
    machine.step({ ...told, state: state({ leaderEpoch: epoch(5), partitionEpoch: partitionEpoch(4) }) });
    expect(machine.view(0)).toMatchObject({ role: "leader", regressedFrom: undefined });
    expect(machine.seenBeyond).toBeUndefined();
  });

  it("takes no late word of an earlier or of the same controller for older metadata", () => {
    const machine = leading();
    machine.step(next({ isr: brokers(1, 2) }, 6));
    machine.step(next({}, 3));
    expect(machine.view(0).role).toBe("leader");
  });

  it("gives leadership up when told so, and leads again in a newer leader epoch only", () => {
    const machine = leading();
    machine.step({ kind: "resign", reason: "controlled shutdown" });
    machine.step(next({ isr: brokers(1, 2) }));
    expect(machine.view(0).role).toBe("resigned");
    machine.step(next({ leaderEpoch: epoch(5) }, 3));
    expect(machine.view(0).role).toBe("leader");
  });

  it("gives leadership up when its broker registered anew (D8)", () => {
    const machine = leading();
    machine.step({ kind: "registered", brokerEpoch: incarnation(2), nowMs: 1 });
    expect(machine.view(0).role).toBe("resigned");
  });

  it("waits where it is not assigned any more", () => {
    const machine = leading();
    machine.step(next({ replicas: brokers(2, 3), isr: brokers(2, 3), leader: broker(2), leaderEpoch: epoch(5) }));
    expect(machine.view(0).role).toBe("waiting");
  });

  it("stays offline whatever the metadata says, and hints at who leads", () => {
    const machine = leading();
    machine.step({ kind: "logFailed", reason: "flush failed" });
    machine.step(next({ leader: broker(2), leaderEpoch: epoch(5) }));
    expect(machine.view(0).role).toBe("offline");
    expect(machine.step(produce(1)).answer).toMatchObject([
      { refusal: { reason: "REPLICA_OFFLINE", hint: { leader: 2 } } },
    ]);
    expect(machine.step(fetchOf(2, 0)).answer).toMatchObject([{ kind: "replicaRefused", reason: "REPLICA_OFFLINE" }]);
  });

  it("ends every wait when its leadership ends: acks as unknown, fetches with a hint (R12)", () => {
    const machine = leading();
    machine.step(produce(1));
    machine.step(produce(2, { acks: "leader" }));
    machine.step(fetchOf(2, 2));
    const out = machine.step(next({ leader: broker(3), leaderEpoch: epoch(5) }));
    expect(out.answer).toMatchObject([
      {
        requestId: 1,
        refusal: {
          reason: "NOT_LEADER",
          outcome: "UNKNOWN",
          hint: { leader: 3, leaderEpoch: 5 },
          range: { baseOffset: 0n },
        },
      },
      { requestId: 2, refusal: { reason: "NOT_LEADER", outcome: "UNKNOWN", range: { baseOffset: 1n } } },
      { kind: "replicaRefused", requestId: 1002, reason: "NOT_LEADER" },
    ]);
    expect(machine.step(flushed(2)).answer).toEqual([]);
  });
});

describe("a leader answers a produce", () => {
  it("with acks=none at once", () => {
    const out = leading().step(produce(1, { acks: "none", records: 3 }));
    expect(out.persist).toMatchObject([{ kind: "appendAsLeader", baseOffset: 0n, endOffset: 3n, leaderEpoch: 4 }]);
    expect(out.answer[0]).toMatchObject({ kind: "produced", baseOffset: 0n, endOffset: 3n });
  });

  it("with acks=leader when it has flushed, not before", () => {
    const machine = leading();
    expect(machine.step(produce(1, { acks: "leader", records: 3 })).answer).toMatchObject([
      { kind: "replicaRead" },
      { kind: "replicaRead" },
    ]);
    expect(machine.step(flushed(2)).answer).toEqual([]);
    expect(machine.step(flushed(3)).answer).toMatchObject([{ kind: "produced", requestId: 1 }]);
  });

  it("with acks=all when every member has flushed", () => {
    const machine = leading();
    machine.step(produce(1, { records: 3 }));
    machine.step(flushed(3));
    machine.step(fetchOf(2, 3));
    expect(machine.step(fetchOf(3, 3, { flushed: at(2) })).answer).toEqual([]);
    const report = {
      replica: broker(3),
      brokerEpoch: incarnation(1),
      leaderEpoch: epoch(4),
      session: session(1),
      flushed: at(3),
    };
    expect(machine.step({ kind: "replicaFlushed", report, nowMs: 2 }).answer).toMatchObject([
      { kind: "produced", requestId: 1 },
    ]);
  });

  it("with a refusal before the append: first who leads, then how many follow", () => {
    const machine = leading({ isr: brokers(1), elr: brokers(2) });
    const newer = machine.step(produce(1, { seen: 5 }));
    expect(newer.persist).toEqual([]);
    expect(newer.answer).toMatchObject([{ refusal: { reason: "UNKNOWN_LEADER_EPOCH", outcome: "NOT_APPLIED" } }]);
    const below = machine.step(produce(2));
    expect(below.persist).toEqual([]);
    expect(below.answer).toMatchObject([{ refusal: { reason: "NOT_ENOUGH_REPLICAS", outcome: "NOT_APPLIED" } }]);
    expect(machine.step(produce(3, { acks: "none", seen: 4 })).persist).toHaveLength(1);
  });

  it("as unknown at its deadline, with the offsets it holds", () => {
    const machine = leading();
    machine.step(produce(1, { records: 3 }));
    const out = machine.step({ kind: "tick", nowMs: 30_000, controllerHeardMs: 30_000 });
    expect(out.answer).toMatchObject([
      { refusal: { reason: "REQUEST_TIMED_OUT", outcome: "UNKNOWN", range: { baseOffset: 0n, endOffset: 3n } } },
    ]);
  });

  it("not at all when its client is gone", () => {
    const machine = leading();
    machine.step(produce(1));
    machine.step({ kind: "cancel", requestId: request(1) });
    expect(machine.step({ kind: "tick", nowMs: 30_000, controllerHeardMs: 30_000 }).answer).toEqual([]);
  });
});

describe("a leader hears a follower", () => {
  it("of a newer registration in the metadata: what the older one says counts no longer (R2)", () => {
    const machine = leading();
    machine.step({ kind: "replicaRegistered", replica: broker(2), brokerEpoch: incarnation(2) });
    expect(machine.step(fetchOf(2, 0)).answer).toMatchObject([{ reason: "STALE_BROKER_EPOCH" }]);
  });

  it("that holds no replica: not at all", () => {
    expect(leading().step(fetchOf(9, 0)).answer).toMatchObject([{ kind: "replicaRefused", reason: "NOT_A_REPLICA" }]);
    expect(leading().step(fetchOf(1, 0)).answer).toMatchObject([{ kind: "replicaRefused", reason: "NOT_A_REPLICA" }]);
  });

  it("that asks ahead of what it has: only what it has counts", () => {
    const machine = leading();
    machine.step(produce(1, { records: 3 }));
    machine.step(flushed(3));
    machine.step(fetchOf(3, 3));
    const ahead = machine.step(fetchOf(2, 0, { fetchOffset: at(3) }));
    expect(ahead.answer).toEqual([]);
    expect(machine.view(0).highWatermark).toBe(0n);
  });

  it("from below its log start: a loss of an ISR member, unless the message is late", () => {
    const machine = leading();
    machine.step(produce(1, { records: 5 }));
    machine.step(flushed(5));
    machine.step(fetchOf(3, 5));
    machine.step(fetchOf(2, 5));
    machine.step({ kind: "logStartAdvanced", logStart: at(4) });
    const late = machine.step(fetchOf(2, 3));
    expect(late.answer).toMatchObject([{ kind: "replicaBehindLogStart", logStart: 4n }]);
    expect(late.send).toEqual([]);
    const lost = machine.step(fetchOf(2, 3, { session: session(2) }));
    expect(lost.send).toMatchObject([{ request: { proposal: { isr: [{ replica: 1 }, { replica: 3 }] } } }]);
  });

  it("in a newer session: what waits of the older one is answered with nothing", () => {
    const machine = leading();
    const out = machine.step(fetchOf(2, 0, { session: session(2) }));
    expect(out.answer).toMatchObject([{ kind: "replicaRead", session: 1, from: 0n, upTo: 0n }]);
    expect(machine.step(fetchOf(2, 0, { session: session(1) })).answer).toMatchObject([{ reason: "STALE_SESSION" }]);
  });
});

describe("the lag that is shown", () => {
  it("of a replica out of sync grows since it was last seen with everything, though nothing is appended", () => {
    const machine = leading();
    const out = next({ isr: brokers(1, 2) });
    machine.step(out);
    const lags = machine.view(5_000).leadership?.replicas.map(({ replica, lagMs }) => [replica, lagMs]);
    expect(lags).toEqual([
      [1, 0],
      [2, 0],
      [3, 5_000],
    ]);
  });
});

describe("why an offset is not committed", () => {
  it("is told by the members that have not flushed it, the furthest behind first", () => {
    const machine = leading();
    machine.step(produce(1, { records: 3 }));
    machine.step(flushed(3));
    machine.step(fetchOf(3, 2));
    const waiting = explainOffset(machine.view(700), at(2));
    expect(waiting).toMatchObject({
      kind: "waiting",
      belowMinIsr: false,
      unsettled: false,
      waitingFor: [
        { replica: 2, flushed: 0n, lagMs: 700, inIsr: true },
        { replica: 3, flushed: 2n, lagMs: 700, inIsr: true },
      ],
    });
  });

  it("or that it is committed, gone, not written, or for somebody else to say", () => {
    const machine = leading({ replicas: brokers(1), isr: brokers(1), minIsr: 1 });
    machine.step(produce(1, { records: 3 }));
    machine.step(flushed(3));
    machine.step({ kind: "logStartAdvanced", logStart: at(1) });
    const kindOf = (offset: number) => explainOffset(machine.view(0), at(offset)).kind;
    expect([0, 1, 2, 3].map(kindOf)).toEqual(["belowLogStart", "committed", "committed", "notWritten"]);
    machine.step(next({ replicas: brokers(1, 2), leader: broker(2), isr: brokers(2), leaderEpoch: epoch(5) }));
    expect(explainOffset(machine.view(0), at(2))).toEqual({ kind: "notLeader", hint: { leader: 2, leaderEpoch: 5 } });
  });
});
