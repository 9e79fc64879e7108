import { brokerId, controllerEpoch, partitionIndex } from "@tidemark/ids";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { applyChanges } from "./apply.ts";
import { endSessions, failDirectories, repairPartitions } from "./end-sessions.ts";
import type { MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { BrokerState, Partition } from "./model.ts";
import { settlePartition, settlePartitions } from "./settle.ts";
import {
  context,
  directoryOf,
  first,
  follow,
  ids,
  imageOf,
  partitionIn,
  partitionOf,
  sessionOf,
  shapeOf,
  topicOf,
} from "./testing/world.ts";

const sessions = (states: Record<number, BrokerState>) =>
  Object.entries(states).map(([id, state]) => sessionOf(Number(id), { state }));
const allRun = { 1: "running", 2: "running", 3: "running" } as const;

describe("an election", () => {
  test.each([
    {
      says: "changes nothing while leader and ISR live",
      brokers: allRun,
      before: partitionOf(),
      after: { leader: 1, isr: [1, 2, 3], elr: [], leaderEpoch: 4, partitionEpoch: 7 },
    },
    {
      says: "takes a dead follower out of the ISR and leaves the leader epoch",
      brokers: { 1: "running", 2: "running" } as const,
      before: partitionOf(),
      after: { leader: 1, isr: [1, 2], elr: [], leaderEpoch: 4, partitionEpoch: 8 },
    },
    {
      says: "gives a dead leader's partition to a living ISR member",
      brokers: { 2: "running", 3: "running" } as const,
      before: partitionOf(),
      after: { leader: 2, isr: [2, 3], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "keeps those that fall below min ISR as eligible (R13)",
      brokers: { 3: "running" } as const,
      before: partitionOf(),
      after: { leader: 3, isr: [3], elr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "prefers an ISR member that is not about to stop",
      brokers: { 2: "stopping", 3: "running" } as const,
      before: partitionOf(),
      after: { leader: 3, isr: [2, 3], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "takes an ISR member that is about to stop where there is no other",
      brokers: { 2: "stopping" } as const,
      before: partitionOf({ isr: [1, 2] }),
      after: { leader: 2, isr: [2], elr: [1], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "never takes a fenced broker, nor leaves it in the ISR",
      brokers: { 2: "fenced", 3: "running" } as const,
      before: partitionOf(),
      after: { leader: 3, isr: [3], elr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "takes a living ELR member where the ISR is gone (case 18)",
      brokers: { 3: "running" } as const,
      before: partitionOf({ isr: [2], elr: [3] }),
      after: { leader: 3, isr: [3], elr: [2], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "never takes a replica that is neither in ISR nor in ELR",
      brokers: { 3: "running" } as const,
      before: partitionOf({ isr: [2], elr: [1] }),
      after: { leader: undefined, isr: [], elr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "leaves no leader and every last member eligible when all die together (D9)",
      brokers: {},
      before: partitionOf(),
      after: { leader: undefined, isr: [], elr: [1, 2, 3], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "gives a partition without a leader to an ELR member that came back",
      brokers: { 2: "running" } as const,
      before: partitionOf({ isr: [], elr: [1, 2], leader: undefined }),
      after: { leader: 2, isr: [2], elr: [1], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "changes nothing where there is still nobody",
      brokers: { 3: "running" } as const,
      before: partitionOf({ isr: [], elr: [1, 2], leader: undefined }),
      after: { leader: undefined, isr: [], elr: [1, 2], leaderEpoch: 4, partitionEpoch: 7 },
    },
  ])("$says", ({ brokers, before, after }) => {
    const image = imageOf(sessions(brokers), [before]);
    const repaired = follow(image, repairPartitions(image, context)).image;
    expect(shapeOf(partitionIn(repaired))).toEqual(after);
  });

  it("draws among the candidates when it is to be random, and reaches each", () => {
    const image = imageOf(sessions({ 2: "running", 3: "running" }), [partitionOf()]);
    const leaderBy = (draw: (limit: number) => number) =>
      partitionIn(follow(image, repairPartitions(image, { ...context, selection: "random", draw })).image).leader;
    expect(leaderBy(first)).toBe(2);
    expect(leaderBy((limit) => limit - 1)).toBe(3);
  });

  it("keeps to the replicas' order when it is to be assigned", () => {
    const image = imageOf(sessions({ 1: "running", 2: "running" }), [partitionOf({ replicas: [3, 2, 1] })]);
    const draw = () => expect.unreachable("nothing is drawn");
    expect(partitionIn(follow(image, repairPartitions(image, { ...context, draw })).image).leader).toBe(2);
  });

  it("passes by a replica whose directory is not registered", () => {
    const moved = sessionOf(2, { directoryIds: [directoryOf(2, 1)] });
    const image = imageOf([moved, sessionOf(3)], [partitionOf()]);
    const repaired = follow(image, repairPartitions(image, context)).image;
    expect(shapeOf(partitionIn(repaired))).toMatchObject({ leader: 3, isr: [3], elr: [1, 2] });
  });

  it("tells its cause and the rule that chose", () => {
    const step = settlePartition(topicOf(), partitionOf(), {
      ...context,
      cause: "connection lost",
      liveness: livenessOf(imageOf(sessions({ 2: "running" })).sessions),
    });
    expect(step?.events).toEqual([
      expect.objectContaining({ kind: "elected", cause: "connection lost", rule: "isr", oldLeader: 1, newLeader: 2 }),
      expect.objectContaining({ kind: "isrChanged", before: [1, 2, 3], after: [2] }),
    ]);
  });
});

const anyIds = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
const anyPartition = fc
  .record({
    replicas: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
    inIsr: anyIds,
    inElr: anyIds,
    minIsr: fc.integer({ min: 1, max: 4 }),
    leads: fc.nat(3),
  })
  .map(({ replicas, inIsr, inElr, minIsr, leads }) => {
    const isr = replicas.filter((id) => inIsr.includes(id));
    const inForce = Math.min(minIsr, replicas.length);
    const elr = isr.length >= inForce ? [] : replicas.filter((id) => inElr.includes(id) && !isr.includes(id));
    return partitionOf({ replicas, isr, elr, minIsr: inForce, leader: isr[leads % Math.max(1, isr.length)] });
  });
const anyState = fc.option(fc.constantFrom<BrokerState>("running", "stopping", "fenced"), { nil: undefined });
const anySessions = fc
  .tuple(anyState, anyState, anyState, anyState)
  .map((states) => states.flatMap((state, index) => (state === undefined ? [] : [sessionOf(index + 1, { state })])));

describe("elections over all states", () => {
  it("are total, keep the invariants, and are done after one walk", () => {
    fc.assert(
      fc.property(anyPartition, anySessions, fc.nat(3), (before, living, drawn) => {
        const image = imageOf(living, [before]);
        const draw = (limit: number) => drawn % limit;
        const repaired = follow(image, repairPartitions(image, { ...context, selection: "random", draw })).image;
        const after = partitionIn(repaired);
        expectInvariants(repaired, after);
        expectNothingLost(before, after);
        expect(after.leaderEpoch - before.leaderEpoch).toBe(after.leader === before.leader ? 0 : 1);
        expect(after.partitionEpoch - before.partitionEpoch).toBe(after === before ? 0 : 1);
        const again = repairPartitions(repaired, context);
        expect(again.kind === "decided" && again.changes).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});

function expectInvariants(image: MetadataImage, { leader, isr, elr, replicas, minIsr }: Partition) {
  const assigned = replicas.map((replica) => replica.brokerId);
  expect(leader === undefined ? isr : isr.filter((id) => id === leader)).toHaveLength(leader === undefined ? 0 : 1);
  expect([...isr, ...elr].every((id) => assigned.includes(id))).toBe(true);
  expect(isr.filter((id) => elr.includes(id))).toEqual([]);
  if (isr.length >= minIsr) expect(elr).toEqual([]);
  for (const id of isr) expect(image.sessions.get(id)?.state).toMatch(/running|stopping/);
}

/** Whoever leads held everything below the high watermark, and whoever held it below min ISR stays eligible. */
function expectNothingLost(before: Partition, after: Partition) {
  const held = [...before.isr, ...before.elr];
  for (const id of after.isr) expect(held).toContain(id);
  if (after.isr.length < after.minIsr) {
    for (const id of held) expect([...after.isr, ...after.elr]).toContain(id);
  }
}

describe("sessions that end", () => {
  const ended = (...brokers: readonly number[]) =>
    brokers.map((id) => ({ ...sessionOf(id), cause: "session timeout" as const }));

  it("are decided together: none of them is a candidate, and all stay eligible (D9, case 27h)", () => {
    const image = imageOf(sessions(allRun), [partitionOf({ minIsr: 2 })]);
    const { image: after, answer } = follow(image, endSessions(image, ended(1, 2, 3), context));
    expect(answer).toHaveLength(3);
    expect(after.sessions.size).toBe(0);
    expect(shapeOf(partitionIn(after))).toMatchObject({
      leader: undefined,
      isr: [],
      elr: [1, 2, 3],
      partitionEpoch: 8,
    });
  });

  it("one by one leave the last member eligible alone", () => {
    let image = imageOf(sessions(allRun), [partitionOf({ minIsr: 1 })]);
    for (const id of [1, 2, 3]) image = follow(image, endSessions(image, ended(id), context)).image;
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: undefined, isr: [], elr: [3], leaderEpoch: 7 });
  });

  it("go first, before any partition changes", () => {
    const image = imageOf(sessions(allRun), [partitionOf()]);
    const decision = endSessions(image, ended(1, 2), context);
    const kinds = decision.kind === "decided" ? decision.changes.map((change) => change.kind) : [];
    expect(kinds).toEqual(["brokerSession", "brokerSession", "partition"]);
  });

  it("move leaderships before they shrink what others lead: writes without a leader wait the longest", () => {
    const followed = partitionOf({ leader: 2 });
    const led = partitionOf({ partition: partitionIndex(1) });
    const image = imageOf(sessions(allRun), [followed, led]);
    const decision = endSessions(image, ended(1), context);
    const changed = decision.kind === "decided" ? decision.changes.slice(1) : [];
    expect(changed).toMatchObject([
      { partition: 1, value: { leader: 2 } },
      { partition: 0, value: { isr: [2, 3] } },
    ]);
  });

  it("are left alone when they were replaced meanwhile", () => {
    const image = imageOf(sessions(allRun), [partitionOf()]);
    const stale = [{ brokerId: brokerId(1), brokerEpoch: 99 as never, cause: "session timeout" as const }];
    const decision = endSessions(image, stale, context);
    expect(decision).toMatchObject({ kind: "decided", changes: [], answer: [] });
  });

  it("half ended by a controller that died are completed by the next one's walk (case 25)", () => {
    const before = imageOf(sessions(allRun), [partitionOf({ minIsr: 2 })]);
    const decision = endSessions(before, ended(1, 2), context);
    if (decision.kind === "refused") throw new Error("refused");
    const whole = applyChanges(before, decision.changes).image;
    for (let committed = 2; committed <= decision.changes.length; committed++) {
      const half = applyChanges(before, decision.changes.slice(0, committed)).image;
      const completed = follow(half, repairPartitions(half, context)).image;
      expect(shapeOf(partitionIn(completed))).toEqual(shapeOf(partitionIn(whole)));
    }
  });
});

describe("a failed directory", () => {
  const command = { brokerId: brokerId(1), brokerEpoch: sessionOf(1).brokerEpoch, directoryIds: [directoryOf(1)] };

  it("takes its replicas out of ISR and leadership while the broker lives on (L6)", () => {
    const two = sessionOf(1, { directoryIds: [directoryOf(1), directoryOf(1, 1)] });
    const image = imageOf([two, sessionOf(2), sessionOf(3)], [partitionOf()]);
    const after = follow(image, failDirectories(image, command, context)).image;
    expect(after.sessions.get(brokerId(1))?.directoryIds).toEqual([directoryOf(1, 1)]);
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 5 });
  });

  it("changes nothing a second time", () => {
    const image = imageOf([sessionOf(1, { directoryIds: [directoryOf(1, 1)] }), sessionOf(2)], []);
    expect(failDirectories(image, command, context)).toMatchObject({ kind: "decided", changes: [] });
  });
});

describe("settling", () => {
  it("carries the controller epoch of who decided", () => {
    const image = imageOf(sessions({ 2: "running" }), [partitionOf()]);
    const { changes } = settlePartitions(image, {
      ...context,
      controllerEpoch: controllerEpoch(77),
      cause: "session timeout",
      liveness: livenessOf(image.sessions),
    });
    expect(changes).toMatchObject([{ value: { controllerEpoch: 77, isr: ids([2]) } }]);
  });
});
