import { offset } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it } from "vitest";
import type { LatestOutcome, ProduceOutcome, ReadOutcome } from "./partition/partition.ts";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "./testing/replica-cluster.ts";

const all = [one, two, three];

/** What becomes of a produce, looked at as time passes. */
function watch(outcome: Promise<ProduceOutcome>): { settled: ProduceOutcome | undefined } {
  const watched: { settled: ProduceOutcome | undefined } = { settled: undefined };
  outcome.then(
    (settled) => {
      watched.settled = settled;
    },
    () => undefined,
  );
  return watched;
}

const acknowledged = async (cluster: ReplicaCluster, text: string, at = one): Promise<bigint> => {
  const produced = watch(cluster.produce(at, text));
  await cluster.until(() => produced.settled !== undefined);
  const { settled } = produced;
  if (settled?.kind !== "acknowledged") throw new Error(settled?.error.message ?? "not settled");
  return settled.baseOffset;
};

/** Every running broker has the same committed log. */
const converged = (cluster: ReplicaCluster) =>
  all.every((id) => {
    const { log, highWatermark } = cluster.broker(id).partition();
    const end = cluster.broker(cluster.controller.partition().leader ?? one).partition().log.logEndOffset;
    return log.logEndOffset === end && highWatermark === end && log.flushedOffset === end;
  });

describe("acks=all with three replicas", () => {
  it("is answered when all of them have flushed, and every log holds the record", async () => {
    const cluster = await createReplicaCluster();
    const release = cluster.broker(three).disk.holdSyncs();
    const produced = watch(cluster.produce(one, "a"));
    await cluster.advance(1000);
    expect(produced.settled).toBeUndefined();
    release();
    await cluster.until(() => produced.settled !== undefined);
    expect(produced.settled).toMatchObject({ kind: "acknowledged", baseOffset: 0n, leaderEpoch: 1 });
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["a"]);
  });

  it("goes on when a follower died: the leader has it taken out of the ISR, by one proposal", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "before");
    cluster.crash(three);
    const produced = watch(cluster.produce(one, "after"));
    await cluster.advance(5000);
    expect(produced.settled).toBeUndefined();
    await cluster.until(() => produced.settled !== undefined);
    expect(produced.settled).toMatchObject({ kind: "acknowledged", baseOffset: 1n });
    expect(cluster.controller.partition().isr).toEqual([one, two]);
    expect(cluster.controller.proposals).toEqual([{ from: one, isr: [one, two] }]);
    await cluster.start(three);
    await cluster.until(() => cluster.controller.partition().isr.length === 3);
    expect(await cluster.textsAt(three)).toEqual(["before", "after"]);
  });

  it("is refused before the append below min ISR, and in doubt where the ISR falls after it", async () => {
    const cluster = await createReplicaCluster();
    const cuts = [cluster.exchange.cut(one, two), cluster.exchange.cut(one, three)];
    const pending = watch(cluster.produce(one, "in doubt"));
    await cluster.until(() => pending.settled !== undefined);
    expect(pending.settled).toMatchObject({
      error: { reason: Reason.NOT_ENOUGH_REPLICAS_AFTER_APPEND, outcome: Outcome.UNKNOWN, fields: { baseOffset: 0n } },
    });
    const refused = watch(cluster.produce(one, "refused"));
    await cluster.advance(1);
    expect(refused.settled).toMatchObject({
      error: {
        reason: Reason.NOT_ENOUGH_REPLICAS,
        outcome: Outcome.NOT_APPLIED,
        retriable: true,
        fields: { isr: [1], minIsr: 2 },
      },
    });
    for (const mend of cuts) mend();
    await cluster.until(() => cluster.controller.partition().isr.length === 3);
    expect(await acknowledged(cluster, "again")).toBe(1n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["in doubt", "again"]);
  });

  it("answers acks=leader and acks=none without the followers", async () => {
    const cluster = await createReplicaCluster();
    const cut = [cluster.exchange.cut(one, two), cluster.exchange.cut(one, three)];
    const release = cluster.broker(one).disk.holdSyncs();
    const [none, leader] = [
      watch(cluster.produce(one, "none", "none")),
      watch(cluster.produce(one, "leader", "leader")),
    ];
    await cluster.advance(10);
    expect([none.settled?.kind, leader.settled]).toEqual(["acknowledged", undefined]);
    release();
    await cluster.until(() => leader.settled !== undefined);
    expect(leader.settled).toMatchObject({ kind: "acknowledged", baseOffset: 1n });
    expect(cluster.broker(one).partition().highWatermark).toBe(0n);
    expect(cut).toHaveLength(2);
  });

  it("is answered as unknown, with its offset, at the first tick after its deadline", async () => {
    const cluster = await createReplicaCluster();
    cluster.exchange.cut(one, two);
    const produced = watch(cluster.produce(one, "a", "all", 300));
    await cluster.advance(400);
    expect(produced.settled).toMatchObject({
      error: { reason: Reason.DEADLINE_EXCEEDED, outcome: Outcome.UNKNOWN, fields: { baseOffset: 0n } },
    });
  });
});

describe("a change of leader", () => {
  it("ends what is pending as unknown with the new leader's endpoint, and cuts what nobody else has", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "common");
    const mend = [cluster.exchange.cut(one, two), cluster.exchange.cut(one, three)];
    const lost = watch(cluster.produce(one, "only here"));
    await cluster.until(() => cluster.broker(one).partition().log.flushedOffset === 2n);
    cluster.controller.elect(two, [two, three]);
    await cluster.publish();
    await cluster.advance(1);
    expect(lost.settled).toMatchObject({
      error: {
        reason: Reason.NOT_LEADER,
        outcome: Outcome.UNKNOWN,
        fields: { leader: { broker: 2, endpoint: "127.0.0.1:4662", leaderEpoch: 2 }, baseOffset: 1n },
      },
    });
    await acknowledged(cluster, "instead", two);
    for (const each of mend) each();
    await cluster.until(() => converged(cluster) && cluster.controller.partition().isr.length === 3);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["common", "instead"]);
    expect(cluster.events).toContain("1: truncated 2 -> 1");
  });

  it("is written to the log before anything is appended in it, also where nothing ever is", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "first");
    cluster.controller.elect(two, all);
    await cluster.publish();
    const led = () => cluster.broker(two).partition().log.epochs;
    await cluster.until(() => led().some(({ leaderEpoch }) => leaderEpoch === 2));
    expect(led()).toContainEqual({ leaderEpoch: 2, startOffset: 1n });
    cluster.controller.elect(three, all);
    await cluster.publish();
    await acknowledged(cluster, "third", three);
    expect(cluster.broker(three).partition().log.epochs).toEqual([
      { leaderEpoch: 1, startOffset: 0n },
      { leaderEpoch: 3, startOffset: 1n },
    ]);
    await cluster.until(() => converged(cluster));
  });

  it("20g: leaves consumers waiting where the new leader does not know what is committed, until it does", async () => {
    const cluster = await createReplicaCluster();
    cluster.produce(one, "a").catch(() => undefined);
    await cluster.until(() => [two, three].every((id) => cluster.broker(id).partition().log.flushedOffset === 1n));
    cluster.crash(one);
    const mend = cluster.exchange.cut(two, three);
    cluster.controller.elect(two, [two, three]);
    await cluster.publish();
    const leader = cluster.broker(two).partition();
    expect([leader.highWatermark, leader.view().leadership?.settled]).toEqual([0n, false]);
    const latest = () =>
      new Promise<LatestOutcome>((settle) => {
        const deadlineMs = Number.POSITIVE_INFINITY;
        leader.latest({ seenLeaderEpoch: undefined, linearizable: false, deadlineMs }, settle);
      });
    expect(await latest()).toMatchObject({ error: { reason: Reason.OFFSET_NOT_AVAILABLE, retriable: true } });
    const read: ReadOutcome[] = [];
    const request = { offset: offset(0n), seenLeaderEpoch: undefined, lastReadEpoch: undefined };
    leader.read({ ...request, deadlineMs: Number.POSITIVE_INFINITY }, (outcome) => read.push(outcome));
    await cluster.advance(500);
    expect(read).toEqual([]);
    mend();
    await cluster.until(() => read.length > 0);
    expect(read).toMatchObject([{ kind: "readable", from: 0n, upTo: 1n, leaderEpoch: 2 }]);
    expect(await latest()).toMatchObject({ kind: "latest", offset: 1n });
  });

  it("is taken over a restart of everybody: what was acknowledged is there", async () => {
    const cluster = await createReplicaCluster();
    for (const text of ["a", "b", "c"]) await acknowledged(cluster, text);
    for (const id of all) cluster.crash(id);
    for (const id of all) await cluster.start(id);
    cluster.controller.elect(three, all);
    await cluster.publish();
    await cluster.until(() => converged(cluster));
    expect(await acknowledged(cluster, "d", three)).toBe(3n);
    for (const id of all) expect(await cluster.textsAt(id)).toEqual(["a", "b", "c", "d"]);
  });
});

describe("answers of the controller", () => {
  it("that are lost leave the proposal open; the state that was applied comes by metadata", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    cluster.onAlter = () => undefined;
    cluster.crash(three);
    const produced = watch(cluster.produce(one, "b"));
    await cluster.until(() => produced.settled !== undefined);
    expect(produced.settled).toMatchObject({ kind: "acknowledged" });
    expect(cluster.controller.partition().isr).toEqual([one, two]);
  });

  it("that never come are asked for again after a pause, one attempt at a time", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    cluster.crash(three);
    cluster.onAlter = () => ({ kind: "UNKNOWN" });
    cluster.setControllerReachable(false);
    const produced = watch(cluster.produce(one, "b"));
    await cluster.advance(13_000);
    expect(produced.settled).toBeUndefined();
    cluster.setControllerReachable(true);
    await cluster.until(() => produced.settled !== undefined);
    expect(cluster.controller.partition().isr).toEqual([one, two]);
  });
});

describe("a linearizable read", () => {
  const ask = (cluster: ReplicaCluster, deadlineMs = 10_000) => {
    const watched: { settled: LatestOutcome | undefined } = { settled: undefined };
    const question = { seenLeaderEpoch: undefined, linearizable: true, deadlineMs };
    cluster
      .broker(one)
      .partition()
      .latest(question, (outcome) => {
        watched.settled = outcome;
      });
    return watched;
  };

  it("is answered when the controller confirmed the leader, and refused when it named another", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    cluster.confirms = () => true;
    const confirmed = ask(cluster);
    expect(confirmed.settled).toBeUndefined();
    await cluster.until(() => confirmed.settled !== undefined);
    expect(confirmed.settled).toMatchObject({ kind: "latest", offset: 1n, leaderEpoch: 1 });
    cluster.confirms = () => false;
    const denied = ask(cluster);
    await cluster.until(() => denied.settled !== undefined);
    expect(denied.settled).toMatchObject({ error: { reason: Reason.LEADER_NOT_AVAILABLE, retriable: true } });
  });

  it("is refused where no controller answers", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    cluster.setControllerReachable(false);
    const watched = ask(cluster, cluster.time.clock.monotonicMs() + 2000);
    await cluster.advance(2100);
    expect(watched.settled).toMatchObject({
      error: { reason: Reason.DEADLINE_EXCEEDED, outcome: Outcome.NOT_APPLIED },
    });
  });
});

describe("a leader that hears nobody", () => {
  it("fences itself after a session timeout, and serves again when it is heard", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    const mend = [cluster.exchange.cut(one, two), cluster.exchange.cut(one, three)];
    cluster.setControllerReachable(false);
    const pending = watch(cluster.produce(one, "b"));
    await cluster.advance(6500);
    expect(pending.settled).toMatchObject({
      error: { reason: Reason.LEADER_NOT_AVAILABLE, outcome: Outcome.UNKNOWN, fields: { baseOffset: 1n } },
    });
    const refused = watch(cluster.produce(one, "c"));
    await cluster.advance(1);
    expect(refused.settled).toMatchObject({ error: { outcome: Outcome.NOT_APPLIED } });
    for (const each of mend) each();
    await cluster.until(() => cluster.events.includes("1: serves again"));
    expect(await acknowledged(cluster, "d")).toBe(2n);
  });

  it("serves on without a controller while a follower fetches", async () => {
    const cluster = await createReplicaCluster();
    cluster.setControllerReachable(false);
    await cluster.advance(20_000);
    expect(await acknowledged(cluster, "a")).toBe(0n);
  });
});

describe("a follower", () => {
  it("gets what its leader is still writing when it is written, and no empty answer meanwhile", async () => {
    const cluster = await createReplicaCluster();
    const release = cluster.broker(one).disk.holdSyncs();
    cluster.produce(one, "a").catch(() => undefined);
    await cluster.until(() => cluster.broker(two).partition().log.flushedOffset === 1n);
    cluster.produce(one, "b").catch(() => undefined);
    const before = cluster.exchange.delivered.length;
    await cluster.advance(200);
    const { log } = cluster.broker(one).partition();
    expect([log.writtenOffset, log.logEndOffset]).toEqual([1n, 2n]);
    expect(cluster.exchange.delivered.length).toBe(before);
    release();
    await cluster.until(() => converged(cluster));
    expect(await cluster.textsAt(two)).toEqual(["a", "b"]);
  });

  it("whose disk is full asks again, and has everything when there is room", async () => {
    const cluster = await createReplicaCluster();
    const free = cluster.broker(three).disk.fill();
    const produced = watch(cluster.produce(one, "a"));
    await cluster.advance(3000);
    expect(produced.settled).toBeUndefined();
    expect(cluster.broker(three).partition().log.logEndOffset).toBe(0n);
    free();
    await cluster.until(() => produced.settled !== undefined);
    expect(await cluster.textsAt(three)).toEqual(["a"]);
    expect(cluster.controller.proposals).toEqual([]);
  });

  it("20f: cuts what it has not written yet only behind what it keeps, and begins anew where the disk is full then", async () => {
    const cluster = await createReplicaCluster();
    for (const text of ["x", "y"]) await acknowledged(cluster, text);
    await cluster.until(() => converged(cluster));
    const release = cluster.broker(three).disk.holdSyncs();
    const send = async (text: string, end: bigint) => {
      cluster.produce(one, text).catch(() => undefined);
      await cluster.until(() => cluster.broker(three).partition().log.logEndOffset === end);
    };
    await send("a", 3n);
    await send("b", 4n);
    await cluster.until(() => cluster.broker(two).partition().log.flushedOffset === 4n);
    cluster.exchange.cut(one, two);
    await send("c", 5n);
    cluster.crash(one);
    cluster.controller.elect(two, [two, three]);
    await cluster.publish();
    await cluster.until(() => cluster.events.includes("3: truncated 5 -> 4"));
    const { log } = cluster.broker(three).partition();
    expect([log.writtenOffset, log.logEndOffset]).toEqual([3n, 5n]);
    const free = cluster.broker(three).disk.fill();
    release();
    await cluster.until(() => log.logEndOffset === 3n);
    free();
    expect(await acknowledged(cluster, "d", two)).toBe(4n);
    expect(await cluster.textsAt(three)).toEqual(["x", "y", "a", "b", "d"]);
  });

  it("20f: whose cut waits for what it keeps has exactly that afterwards", async () => {
    const cluster = await createReplicaCluster();
    const release = cluster.broker(three).disk.holdSyncs();
    const send = async (text: string, end: bigint) => {
      cluster.produce(one, text).catch(() => undefined);
      await cluster.until(() => cluster.broker(three).partition().log.logEndOffset === end);
    };
    await send("a", 1n);
    await send("b", 2n);
    await cluster.until(() => cluster.broker(two).partition().log.flushedOffset === 2n);
    cluster.exchange.cut(one, two);
    await send("c", 3n);
    cluster.crash(one);
    cluster.controller.elect(two, [two, three]);
    await cluster.publish();
    await cluster.until(() => cluster.events.includes("3: truncated 3 -> 2"));
    release();
    await cluster.until(() => cluster.broker(three).partition().view().flushed === 2n);
    expect(await acknowledged(cluster, "d", two)).toBe(2n);
    expect(await cluster.textsAt(three)).toEqual(["a", "b", "d"]);
  });

  it("that registered anew begins a session in its new broker epoch, and stays in the ISR", async () => {
    const cluster = await createReplicaCluster();
    await acknowledged(cluster, "a");
    await cluster.registerAnew(three);
    expect(await acknowledged(cluster, "b")).toBe(1n);
    expect(cluster.controller.proposals).toEqual([]);
  });

  it("keeps nothing of the log start from its leader's consumers: both begin there", async () => {
    const cluster = await createReplicaCluster();
    for (const text of ["a", "b", "c"]) await acknowledged(cluster, text);
    await cluster.until(() => converged(cluster));
    await cluster.broker(one).partition().log.moveLogStart(offset(2n));
    await cluster.until(() => all.every((id) => cluster.broker(id).partition().log.logStartOffset === 2n));
  });
});
