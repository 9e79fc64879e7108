/** What a receipt says of a replica whose log is gone before it could say what it cut (D3). */
import { brokerEpoch, brokerId, leaderEpoch, offset, partitionIndex } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { applyChanges } from "./apply.ts";
import { electUnclean } from "./elect-unclean.ts";
import { endSessions, reportDamage } from "./end-sessions.ts";
import { findReceipt, type MetadataImage, receiptId } from "./image.ts";
import { reportTruncations } from "./receipts.ts";
import { type RegisterBrokerCommand, registerBroker } from "./register-broker.ts";
import {
  context,
  directoryOf,
  follow,
  imageOf,
  ordersId,
  partitionOf,
  registrationOf,
  sessionOf,
} from "./testing/world.ts";

const orders0 = { topicId: ordersId, partition: partitionIndex(0) };
const receiptOf = (image: MetadataImage) => findReceipt(image, orders0);
const copied = { brokerId: 3, firstOffset: 0n, logEnd: 0n, copiedAnew: true };

/** Broker 2 was elected uncleanly of these that live; the others were not asked. */
function elected(image: MetadataImage): MetadataImage {
  const answer = {
    brokerId: brokerId(2),
    brokerEpoch: brokerEpoch(1),
    lastLeaderEpoch: 4,
    logEnd: offset(90n),
    logStart: offset(0n),
  };
  const positions = new Map([[receiptId(orders0), [answer]]]);
  return follow(image, electUnclean(image, { partitions: [orders0], positions, commanded: true, timeMs: 5 }, context))
    .image;
}

const leaderless = partitionOf({ isr: [], elr: [1], leader: undefined });
const open = () => elected(imageOf([sessionOf(2), sessionOf(3)], [leaderless]));
const damageOf = (broker: number) => ({ brokerId: brokerId(broker), brokerEpoch: brokerEpoch(1), damaged: [orders0] });
const damaged = (image: MetadataImage, broker = 3) =>
  follow(image, reportDamage(image, damageOf(broker), context)).image;
const registered = (image: MetadataImage, fields: Partial<RegisterBrokerCommand> = {}) =>
  follow(image, registerBroker(image, registrationOf(3, fields), context)).image;
const ended = (image: MetadataImage) => {
  const session = { brokerId: brokerId(3), brokerEpoch: brokerEpoch(1), cause: "session timeout" } as const;
  return follow(image, endSessions(image, [session], context)).image;
};

describe("a receipt that waits for a replica", () => {
  it.each([
    ["is found damaged", () => damaged(open())],
    ["is found damaged at the start of its broker", () => registered(ended(open()), { damaged: [orders0] })],
    [
      "gets another log directory, because its own is gone",
      () => registered(ended(open()), { directoryIds: [directoryOf(3, 1)] }),
    ],
  ])("says that it is copied anew when it %s, and takes no word of the copy", (_, lose) => {
    const image = lose();
    expect(receiptOf(image)).toMatchObject({ cuts: [copied], awaited: [1] });
    const epoch = image.sessions.get(brokerId(3))?.brokerEpoch ?? brokerEpoch(1);
    const nothingCut = { ...orders0, leaderEpoch: leaderEpoch(5), firstOffset: offset(0n), logEnd: offset(0n) };
    const told = { brokerId: brokerId(3), brokerEpoch: epoch, truncations: [nothingCut] };
    expect(reportTruncations(image, told)).toMatchObject({ kind: "decided", changes: [] });
  });

  it("tells whoever follows the events", () => {
    const decision = reportDamage(open(), damageOf(3), context);
    const kinds = decision.kind === "decided" ? decision.events.map(({ kind }) => kind) : [];
    expect(kinds).toEqual(["replicasDamaged", "receipt"]);
  });

  it("goes on waiting while the directory may come back: one that is not mounted is not lost", () => {
    const away = registered(ended(open()), { directoryIds: [directoryOf(3, 1)], allDirectoriesWork: false });
    expect(receiptOf(away)).toMatchObject({ cuts: [], awaited: [1, 3] });
    expect(receiptOf(registered(ended(open())))).toMatchObject({ cuts: [], awaited: [1, 3] });
  });

  it("has it at once where it was damaged when the leader was elected, and not yet copied anew", () => {
    const before = damaged(registered(imageOf([sessionOf(2)], [leaderless])));
    const image = elected(before);
    expect(receiptOf(image)).toMatchObject({ cuts: [copied], awaited: [1] });
    const copying = registered(before);
    expect(receiptOf(elected(copying))).toMatchObject({ cuts: [], awaited: [1, 3] });
  });

  it("keeps what it said before its log was lost, and says nothing of brokers without a replica", () => {
    const cut = { ...orders0, leaderEpoch: leaderEpoch(5), firstOffset: offset(80n), logEnd: offset(95n) };
    const told = { brokerId: brokerId(3), brokerEpoch: brokerEpoch(1), truncations: [cut] };
    const image = follow(open(), reportTruncations(open(), told)).image;
    expect(receiptOf(damaged(image))?.cuts).toEqual([{ brokerId: 3, firstOffset: 80n, logEnd: 95n }]);
    const stranger = applyChanges(open(), [
      { kind: "brokerSession", brokerId: brokerId(4), value: sessionOf(4) },
    ]).image;
    expect(receiptOf(damaged(stranger, 4))).toMatchObject({ cuts: [], awaited: [1, 3] });
  });
});
