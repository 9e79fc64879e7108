import { brokerEpoch, brokerId, leaderEpoch, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { alterPartitions } from "./alter-partition.ts";
import { applyChanges } from "./apply.ts";
import { putKnownBroker, putTopic } from "./change.ts";
import { configureTopic } from "./configure-topic.ts";
import { isNewDamage, type ReplicaId } from "./damage.ts";
import { endSessions, failDirectories, repairPartitions, reportDamage } from "./end-sessions.ts";
import type { MetadataImage } from "./image.ts";
import type { KnownBroker, Partition, Topic } from "./model.ts";
import { type RegisterBrokerCommand, registerBroker } from "./register-broker.ts";
import {
  cluster,
  context,
  directoryOf,
  follow,
  imageOf,
  ordersId,
  partitionIn,
  partitionOf,
  registrationOf,
  sessionOf,
  shapeOf,
  topicOf,
  uuidOf,
} from "./testing/world.ts";

const orders0: ReplicaId = { topicId: ordersId, partition: partitionIndex(0) };
const three = (...partitions: readonly Partition[]) => imageOf([sessionOf(1), sessionOf(2), sessionOf(3)], partitions);
const damageOf = (broker: number, epoch = 1) => ({
  brokerId: brokerId(broker),
  brokerEpoch: brokerEpoch(epoch),
  damaged: [orders0],
});
const reported = (image: MetadataImage, broker: number) =>
  follow(image, reportDamage(image, damageOf(broker), context)).image;

function registered(image: MetadataImage, broker: number, fields: Partial<RegisterBrokerCommand> = {}): MetadataImage {
  const command = registrationOf(broker, { bootId: "second boot", ...fields });
  return follow(image, registerBroker(image, command, context)).image;
}

describe("a replica that its broker reports damaged (L10)", () => {
  test.each([
    {
      says: "leads: another leads, and it is in neither ISR nor ELR",
      before: partitionOf(),
      after: { leader: 2, isr: [2, 3], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "leads, below min ISR: it is not eligible either, unlike one that died",
      before: partitionOf({ isr: [1, 2], elr: [] }),
      after: { leader: 2, isr: [2], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "is the only member: nobody leads, and nobody is eligible",
      before: partitionOf({ isr: [1] }),
      after: { leader: undefined, isr: [], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    },
    {
      says: "is eligible: it is not any more, and the leader stays",
      before: partitionOf({ isr: [2], elr: [1, 3] }),
      after: { leader: 2, isr: [2], elr: [3], leaderEpoch: 4, partitionEpoch: 8 },
    },
    {
      says: "is out of both: the partition epoch rises, which kills what is late",
      before: partitionOf({ isr: [2, 3] }),
      after: { leader: 2, isr: [2, 3], elr: [], leaderEpoch: 4, partitionEpoch: 8 },
    },
  ])("that $says", ({ before, after }) => {
    expect(shapeOf(partitionIn(reported(three(before), 1)))).toEqual(after);
  });

  it("changes nothing when it is told again", () => {
    const image = three(partitionOf());
    expect(isNewDamage(image, damageOf(1))).toBe(true);
    const once = reported(image, 1);
    expect(isNewDamage(once, damageOf(1))).toBe(false);
    expect(reportDamage(once, damageOf(1), context)).toMatchObject({ kind: "decided", changes: [] });
  });

  it("does not come back by a proposal while its broker has the same broker epoch", () => {
    const image = reported(three(partitionOf({ isr: [2, 3] })), 1);
    const proposal = {
      ...orders0,
      leaderEpoch: leaderEpoch(4),
      partitionEpoch: 8,
      isr: [1, 2, 3].map((id) => ({ brokerId: brokerId(id), brokerEpoch: brokerEpoch(1) })),
      recovered: false,
    };
    const from = { brokerId: brokerId(2), brokerEpoch: brokerEpoch(1), proposals: [proposal] };
    const late = { ...from, proposals: [{ ...proposal, partitionEpoch: 7 }] };
    const answerOf = (command: typeof from) => follow(image, alterPartitions(image, command, context.controllerEpoch));
    expect(answerOf(late).answer).toMatchObject([{ refusal: { reason: Reason.INVALID_PARTITION_EPOCH } }]);
    expect(answerOf(from).answer).toMatchObject([{ refusal: { reason: Reason.INELIGIBLE_REPLICA } }]);

    const copying = registered(image, 1);
    const isr = proposal.isr.map((member) =>
      member.brokerId === 1 ? { ...member, brokerEpoch: brokerEpoch(2) } : member,
    );
    const back = follow(
      copying,
      alterPartitions(copying, { ...from, proposals: [{ ...proposal, isr }] }, context.controllerEpoch),
    );
    expect(back.answer).toMatchObject([{ kind: "applied", partition: { isr: [1, 2, 3] } }]);
    expect(partitionIn(back.image).replicas.every((replica) => replica.damagedIn === undefined)).toBe(true);
  });

  it("is not forgotten over a restart: a registration that names it takes it out too", () => {
    const image = registered(three(partitionOf({ isr: [1, 2] })), 1, { damaged: [orders0] });
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: 2, isr: [2], elr: [] });
    expect(partitionIn(image).replicas[0]?.damagedIn).toBe(2);
  });

  it("does not lead when its broker comes back alone", () => {
    let image = three(partitionOf({ replicas: [1], isr: [1], minIsr: 1 }));
    image = registered(reported(image, 1), 1, { damaged: [orders0] });
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: undefined, isr: [], elr: [] });
  });

  it("of an older broker epoch is refused, and of an unknown partition passed over", () => {
    const image = three(partitionOf());
    expect(reportDamage(image, damageOf(1, 9), context)).toMatchObject({
      kind: "refused",
      refusal: { reason: Reason.STALE_BROKER_EPOCH },
    });
    const unknown = { ...damageOf(1), damaged: [{ ...orders0, partition: partitionIndex(9) }] };
    expect(isNewDamage(image, unknown)).toBe(false);
  });
});

describe("a restart under flush=async (D8)", () => {
  const before = (topic: Partial<Topic>, broker: Partial<KnownBroker>, partition = partitionOf({ isr: [1, 2] })) => {
    const known: KnownBroker = {
      brokerId: brokerId(1),
      brokerEpoch: brokerEpoch(1),
      directoryIds: [directoryOf(1)],
      bootId: "first boot",
      flushAsync: false,
      ...broker,
    };
    return applyChanges(three(partition), [putTopic(topicOf(topic)), putKnownBroker(known)]).image;
  };
  const isAsync = { settings: new Map([["flush", "async"]]) };
  const isSync = { settings: new Map([["flush", "sync"]]) };

  test.each<readonly [string, Partial<Topic>, Partial<KnownBroker>, Partial<RegisterBrokerCommand>, boolean]>([
    ["the topic is asynchronous, the machine was booted", isAsync, {}, {}, true],
    ["the broker is, where the topic says nothing", {}, { flushAsync: true }, {}, true],
    ["the broker is, but the topic is not", isSync, { flushAsync: true }, {}, false],
    ["the topic was once", { ...isSync, wasAsync: true }, {}, {}, true],
    ["everything is flushed before it counts", {}, {}, {}, false],
    ["the machine was not booted since", isAsync, {}, { bootId: "first boot" }, false],
    ["nobody knows the boot", isAsync, { bootId: "" }, { bootId: "" }, true],
    ["the stop was clean", isAsync, {}, { cleanStopBrokerEpoch: brokerEpoch(1) }, false],
    ["an older stop was clean, and the last one was not", isAsync, {}, { cleanStopBrokerEpoch: brokerEpoch(0) }, true],
  ])("where %s", (_, topic, broker, command, isLost) => {
    const image = registered(before(topic, broker), 1, command);
    const after = isLost ? { isr: [2], elr: [] } : { isr: [1, 2], elr: [] };
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: 2, ...after });
  });

  it("takes it out of the ELR too, and it does not lead", () => {
    const leaderless = partitionOf({ isr: [], elr: [1, 3], leader: undefined });
    const image = registered(before(isAsync, {}, leaderless), 1);
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: 3, isr: [3], elr: [] });
  });

  it("counts once, also where the registration is cut short before its last key (case 27g)", () => {
    const image = before(isAsync, {});
    const command = { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), cause: "session timeout" } as const;
    const ended = follow(image, endSessions(image, [command], context)).image;
    const decision = registerBroker(
      ended,
      {
        brokerId: brokerId(1),
        incarnationId: uuidOf("f", 1),
        clusterId: cluster.clusterId,
        directoryIds: [directoryOf(1)],
        allDirectoriesWork: true,
        endpoints: [{ listener: "client", host: "127.0.0.1", port: 4660 }],
        rack: "",
        cleanStopBrokerEpoch: undefined,
        bootId: "second boot",
        flushAsync: false,
        damaged: [],
        regressed: [],
        offline: [],
      },
      context,
    );
    if (decision.kind === "refused") throw new Error("refused");
    for (let committed = 0; committed < decision.changes.length - 1; committed++) {
      const half = applyChanges(ended, decision.changes.slice(0, committed)).image;
      expect(partitionIn(registered(half, 1)).elr).not.toContain(1);
    }
    const whole = follow(ended, decision).image;
    expect(whole.knownBrokers.get(brokerId(1))?.bootId).toBe("second boot");
  });

  it("is remembered when the setting is changed back", () => {
    const image = before(isAsync, {});
    const command = { name: "orders", settings: new Map(), minInsyncReplicas: 2 };
    const after = follow(image, configureTopic(image, command, context.controllerEpoch));
    expect(after.answer).toMatchObject({ wasAsync: true });
    expect(shapeOf(partitionIn(registered(after.image, 1)))).toMatchObject({ isr: [2], elr: [] });
  });
});

describe("registrations over all states", () => {
  const anyMembers = fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { maxLength: 3 });
  const anyPartition = fc.record({ inIsr: anyMembers, inElr: anyMembers, minIsr: fc.integer({ min: 1, max: 3 }) });
  const anyKind = fc.constantFrom("intact", "damaged", "lost" as const);

  it("keep the invariants, take nobody back who lost something, and change nothing more by their repair", () => {
    fc.assert(
      fc.property(anyPartition, anyMembers, anyKind, ({ inIsr, inElr, minIsr }, living, kind) => {
        const isr = [1, 2, 3].filter((id) => inIsr.includes(id) && living.includes(id));
        const elr = isr.length >= minIsr ? [] : inElr.filter((id) => !isr.includes(id));
        const partition = partitionOf({ isr, elr, minIsr, leader: isr[0] });
        const settings = new Map(kind === "lost" ? [["flush", "async"]] : []);
        const known = putKnownBroker({
          brokerId: brokerId(1),
          brokerEpoch: brokerEpoch(1),
          directoryIds: [directoryOf(1)],
          bootId: "first boot",
          flushAsync: false,
        });
        const sessions = living.map((id) => sessionOf(id));
        const image = applyChanges(imageOf(sessions, [partition]), [putTopic(topicOf({ settings })), known]).image;
        const after = registered(image, 1, { damaged: kind === "damaged" ? [orders0] : [] });
        const state = partitionIn(after);
        expect(state.leader === undefined).toBe(state.isr.length === 0);
        expect(state.leader === undefined || state.isr.includes(state.leader)).toBe(true);
        expect(state.isr.filter((id) => state.elr.includes(id))).toEqual([]);
        if (state.isr.length >= state.minIsr) expect(state.elr).toEqual([]);
        for (const id of [...state.isr, ...state.elr]) expect([...isr, ...elr]).toContain(id);
        if (kind !== "intact") expect([...state.isr, ...state.elr]).not.toContain(1);
        else if (isr.includes(1)) expect(state.isr).toContain(1);
        if (isr[0] === 1) expect(state.leaderEpoch).toBe(5);
        expect(repairPartitions(after, context)).toMatchObject({ kind: "decided", changes: [] });
      }),
      { numRuns: 300 },
    );
  });
});

describe("a broker whose last log directory failed (L6)", () => {
  it("is fenced: it leads nothing, stands in no ISR, and its replicas stay eligible by R13 only", () => {
    const image = three(partitionOf({ isr: [1, 2] }));
    const command = { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), directoryIds: [directoryOf(1)] };
    const after = follow(image, failDirectories(image, command, context)).image;
    expect(after.sessions.get(brokerId(1))).toMatchObject({ state: "fenced", directoryIds: [] });
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2], elr: [1] });
  });
});
