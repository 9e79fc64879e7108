import { partitionEpoch } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import type { SendEffect } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import { defaultSettings } from "./settings.ts";
import {
  at,
  broker,
  brokers,
  controller,
  epoch,
  epochs,
  fetchOf,
  flushed,
  incarnation,
  log,
  metadata,
  partition,
  produce,
  state,
} from "./testing/values.ts";

const tick = (nowMs: number) => ({ kind: "tick", nowMs, controllerHeardMs: nowMs }) as const;
const proposals = (sent: readonly SendEffect[]) =>
  sent.flatMap((effect) => (effect.kind === "alterPartition" ? [effect.request] : []));
const applied = (attempt: number, committed: PartitionState, nowMs = 0) =>
  ({
    kind: "proposalAnswered",
    attempt: attempt as never,
    answer: { kind: "applied", controllerEpoch: controller(1), state: committed },
    nowMs,
  }) as const;

/** Broker 1 leads with 2 in sync; 3 is outside, and lacks the one record there is. */
function leading() {
  const machine = partition(1);
  machine.step(metadata(state({ isr: brokers(1, 2) })));
  machine.step(fetchOf(2, 0));
  machine.step(produce(1));
  machine.step(flushed(1));
  machine.step(fetchOf(2, 1));
  return machine;
}

describe("a leader proposes", () => {
  it("a replica when its own report shows it in sync, and not when time passes", () => {
    const machine = leading();
    expect(proposals(machine.step(fetchOf(3, 0)).send)).toEqual([]);
    const [request] = proposals(machine.step(fetchOf(3, 1)).send);
    expect(request?.proposal.isr).toEqual([
      { replica: 1, brokerEpoch: 1 },
      { replica: 2, brokerEpoch: 1 },
      { replica: 3, brokerEpoch: 1 },
    ]);
    const refused = { kind: "INELIGIBLE_REPLICA", controllerEpoch: controller(1), replicas: brokers(3) } as const;
    machine.step({ kind: "proposalAnswered", attempt: request?.attempt ?? (0 as never), answer: refused, nowMs: 1 });
    expect(proposals(machine.step(tick(5_000)).send)).toEqual([]);
    expect(proposals(machine.step(fetchOf(3, 1, {}, 5_001)).send)).toHaveLength(1);
  });

  it("nobody before it has flushed its own epoch's start: a machine that begins anew there leads without that change", () => {
    const machine = partition(1, log(5, epochs([3, 0]), { flushed: 4 }));
    machine.step(metadata(state({ isr: brokers(1, 2) })));
    const report = (nowMs: number) => fetchOf(3, 5, { lastFetchedEpoch: epoch(3) }, nowMs);
    expect(proposals(machine.step(report(0)).send)).toEqual([]);
    machine.step(flushed(5));
    expect(proposals(machine.step(report(1)).send)).toHaveLength(1);
  });

  it("no member with a broker epoch that its own fetches did not carry (R10)", () => {
    const machine = leading();
    machine.step({ kind: "replicaRegistered", replica: broker(2), brokerEpoch: incarnation(2) });
    const [request] = proposals(machine.step(fetchOf(3, 1)).send);
    expect(request?.proposal.isr).toContainEqual({ replica: 2, brokerEpoch: undefined });
  });

  it("not the removal of a replica that just returned, however long it had lagged before", () => {
    const machine = leading();
    machine.step(tick(20_000));
    const late = fetchOf(3, 1, {}, 20_001);
    machine.step(produce(2));
    expect(proposals(machine.step(late).send)).toHaveLength(1);
    machine.step(applied(1, state({ partitionEpoch: partitionEpoch(2) }), 20_002));
    expect(proposals(machine.step(tick(20_003)).send)).toEqual([]);
    expect(proposals(machine.step(tick(31_000)).send)).toHaveLength(1);
  });

  it("no removal before each follower had one full lag time to fetch from it (R9)", () => {
    const machine = leading();
    machine.step(produce(2));
    machine.step(metadata(state({ leader: broker(2), leaderEpoch: epoch(5), partitionEpoch: partitionEpoch(2) }), 5));
    machine.step(metadata(state({ leaderEpoch: epoch(6), partitionEpoch: partitionEpoch(3) }), 60_000));
    expect(proposals(machine.step(tick(70_000)).send)).toEqual([]);
    expect(proposals(machine.step(tick(70_001)).send)).toHaveLength(1);
  });
});

describe("a leader that stood still itself", () => {
  /** Both followers lack the second record; then no time is told for longer than their lag time. */
  function stalled(stallMs: number) {
    const machine = partition(1);
    machine.step({ kind: "settingsChanged", settings: { ...defaultSettings, stallMs } });
    machine.step(metadata(state()));
    for (const follower of [2, 3]) machine.step(fetchOf(follower, 0));
    machine.step(produce(1));
    machine.step(flushed(1));
    machine.step(tick(2_000));
    return machine;
  }

  it("holds against nobody what it did not see, whoever speaks first: that time does not count", () => {
    const machine = stalled(2_500);
    expect(proposals(machine.step(fetchOf(2, 1, {}, 14_000)).send)).toEqual([]);
    for (let now = 16_000; now <= 22_000; now += 2_000) expect(proposals(machine.step(tick(now)).send)).toEqual([]);
    const [request] = proposals(machine.step(tick(22_001)).send);
    expect(request?.proposal.isr.map(({ replica }) => replica)).toEqual([1, 2]);
  });

  it("finds out who lags all the same where it stands still again and again", () => {
    const machine = stalled(2_500);
    machine.step(fetchOf(2, 1, {}, 2_000));
    const proposed: readonly unknown[][] = Array.from({ length: 10 }, (_, round) => {
      const now = 2_000 + round * 5_000;
      machine.step(tick(now + 3_000));
      return proposals(machine.step(tick(now + 5_000)).send).map(({ proposal }) =>
        proposal.isr.map(({ replica }) => replica),
      );
    });
    // Of each round two seconds were observed, after the two of the beginning.
    expect(proposed.findIndex((each) => each.length > 0)).toBe(4);
    expect(proposed[4]).toEqual([[1, 2]]);
  });

  it("is one that was told no time for longer than the settings say, and no other", () => {
    const machine = stalled(12_000);
    const [request] = proposals(machine.step(tick(14_000)).send);
    expect(request?.proposal.isr.map(({ replica }) => replica)).toEqual([1]);
  });
});

describe("a leader takes the controller's answer", () => {
  const proposed = () => {
    const machine = leading();
    machine.step(fetchOf(3, 1));
    return machine;
  };

  it("as the committed state when it is of its leader epoch and newer", () => {
    const machine = proposed();
    machine.step(applied(1, state({ partitionEpoch: partitionEpoch(2) })));
    expect(machine.view(0).state?.isr).toEqual([1, 2, 3]);
  });

  it("as nothing when it is of another leader epoch: what follows from that comes with the metadata", () => {
    const machine = proposed();
    machine.step(applied(1, state({ leader: broker(2), leaderEpoch: epoch(5), partitionEpoch: partitionEpoch(9) })));
    expect(machine.view(0).state).toMatchObject({ leaderEpoch: 4, isr: [1, 2] });
    expect(machine.view(0).leadership?.maximalIsr).toEqual([1, 2, 3]);
  });

  it("as nothing when it is older than what it knows", () => {
    const machine = proposed();
    machine.step(metadata(state({ isr: brokers(1), elr: brokers(2), partitionEpoch: partitionEpoch(3) })));
    machine.step(applied(1, state({ partitionEpoch: partitionEpoch(2) })));
    expect(machine.view(0).state?.isr).toEqual([1]);
  });
});

describe("a linearizable read", () => {
  const latest = (id: number, nowMs: number) =>
    ({
      kind: "latestOffset",
      requestId: id as never,
      seenLeaderEpoch: undefined,
      linearizable: true,
      deadlineMs: nowMs + 5_000,
      nowMs,
    }) as const;
  const confirmed = (confirmation: number) =>
    ({ kind: "leadershipConfirmed", confirmation: confirmation as never, leads: true, nowMs: 9 }) as const;

  it("is served by a question that was asked after it arrived, and one question serves many", () => {
    const machine = leading();
    expect(machine.step(latest(1, 0)).send).toMatchObject([{ kind: "confirmLeadership", confirmation: 1 }]);
    expect(machine.step(latest(2, 1)).send).toEqual([]);
    expect(machine.step(latest(3, 2)).send).toEqual([]);
    const first = machine.step(confirmed(1));
    expect(first.answer.map(({ requestId }) => requestId)).toEqual([1]);
    expect(first.send).toMatchObject([{ kind: "confirmLeadership", confirmation: 2 }]);
    expect(machine.step(confirmed(2)).answer.map(({ requestId }) => requestId)).toEqual([2, 3]);
  });

  it("is asked about again when no answer comes, and an answer to the old question serves nobody that came after it", () => {
    const machine = leading();
    machine.step(latest(1, 0));
    machine.step(latest(2, 1));
    expect(machine.step(tick(1_000)).send).toMatchObject([{ kind: "confirmLeadership", confirmation: 2 }]);
    expect(machine.step(confirmed(1)).answer).toMatchObject([{ requestId: 1, offset: at(1) }]);
    expect(machine.step(confirmed(2)).answer).toMatchObject([{ requestId: 2, offset: at(1) }]);
  });
});
