import { partitionEpoch } from "@tidemark/ids";
import { describe, expect, it, test } from "vitest";
import { checkProgress, checkReplica, checkState, checkSuccession } from "./invariants.ts";
import { at, broker, brokers, epoch, epochs, log, metadata, partition, state } from "./testing/values.ts";

const leader = () => {
  const machine = partition(1, log(5, epochs([3, 0])));
  machine.step(metadata(state()));
  return machine.view(0);
};

describe("a committed state", () => {
  test.each([
    { says: "has its leader in the ISR", change: { isr: brokers(2, 3) }, broken: "leader 1 is not in the ISR (2,3)" },
    { says: "has an ISR only with a leader", change: { leader: undefined }, broken: "an ISR (1,2,3) without a leader" },
    { says: "has assigned members only", change: { isr: brokers(1, 2, 9) }, broken: "ISR member 9 is not assigned" },
    { says: "keeps ISR and ELR apart", change: { isr: brokers(1), elr: brokers(1) }, broken: "1 is in ISR and ELR" },
    {
      says: "has no ELR at min ISR (R13)",
      change: { isr: brokers(1, 2), elr: brokers(3) },
      broken: "an ELR (3) though the ISR reaches min ISR",
    },
    {
      says: "has assigned eligible replicas only",
      change: { isr: brokers(1), elr: brokers(9) },
      broken: "ELR member 9 is not assigned",
    },
    { says: "names a member once", change: { isr: brokers(1, 2, 2) }, broken: "the ISR (1,2,2) names a replica twice" },
  ])("$says", ({ change, broken }) => {
    expect(checkState(state(change))).toEqual([broken]);
    expect(checkState(state())).toEqual([]);
  });

  it("is followed by newer epochs, and by another leader in another leader epoch only (P14)", () => {
    const newer = { partitionEpoch: partitionEpoch(2) };
    expect(checkSuccession(state(), state(newer))).toEqual([]);
    expect(checkSuccession(state(), state())).toEqual(["the partition epoch did not grow"]);
    expect(checkSuccession(state(), state({ ...newer, leader: broker(2) }))).toEqual([
      "leader epoch 4 has two leaders",
    ]);
    expect(checkSuccession(state(), state({ ...newer, leaderEpoch: epoch(3) }))).toEqual(["the leader epoch fell"]);
  });
});

describe("a replica", () => {
  test.each([
    { says: "starts at or below its end", change: { logStart: at(6) }, broken: "log start 6 is above log end 5" },
    { says: "flushed what it has", change: { flushed: at(6) }, broken: "flushed 6 is above log end 5" },
    { says: "commits what it has", change: { highWatermark: at(6) }, broken: "high watermark 6 is above log end 5" },
    {
      says: "has rising leader epochs",
      change: { leaderEpochs: epochs([3, 0], [3, 2]) },
      broken: "leader epochs do not rise",
    },
    {
      says: "has starts in order",
      change: { leaderEpochs: epochs([3, 4], [4, 2]) },
      broken: "starts of leader epochs fall",
    },
    {
      says: "has no epoch above its end",
      change: { leaderEpochs: epochs([4, 6]) },
      broken: "leader epoch 4 starts above the log end",
    },
  ])("$says", ({ change, broken }) => {
    expect(checkReplica({ ...leader(), ...change })).toEqual([broken]);
    expect(checkReplica(leader())).toEqual([]);
  });

  it("that leads counts the committed ISR, and only what is verified", () => {
    const view = leader();
    const { leadership } = view;
    if (leadership === undefined) throw new Error("it leads");
    expect(checkReplica({ ...view, leadership: { ...leadership, maximalIsr: brokers(1, 2) } })).toEqual([
      "the maximal ISR lacks member 3",
      "the maximal ISR differs from the committed one without a proposal",
    ]);
    const replicas = leadership.replicas.map((one) => ({ ...one, verified: at(3), flushed: at(4) }));
    expect(checkReplica({ ...view, leadership: { ...leadership, replicas } })).toEqual([
      "2 counts as flushed up to 4, verified up to 3 only",
      "3 counts as flushed up to 4, verified up to 3 only",
    ]);
  });

  it("that leads never takes back what is committed or written", () => {
    const view = { ...leader(), highWatermark: at(4) };
    expect(checkProgress(view, view)).toEqual([]);
    expect(checkProgress(view, { ...view, highWatermark: at(3), logEnd: at(4), flushed: at(4) })).toEqual([
      "the high watermark of a leader fell",
      "the log end of a leader fell below what was flushed",
    ]);
    expect(checkProgress(view, { ...view, leadership: undefined, state: state({ leaderEpoch: epoch(3) }) })).toEqual([
      "the leader epoch fell",
    ]);
  });
});
