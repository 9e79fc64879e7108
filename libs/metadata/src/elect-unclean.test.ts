import { brokerEpoch, brokerId, leaderEpoch, offset, partitionEpoch, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it, test } from "vitest";
import { applyChanges } from "./apply.ts";
import { splitIntoBatches } from "./batches.ts";
import { deleteTopic, sweepOrphans } from "./delete-topic.ts";
import { type AnsweredPosition, electUnclean } from "./elect-unclean.ts";
import { findReceipt, type MetadataImage, receiptId } from "./image.ts";
import type { Partition } from "./model.ts";
import { type ReportedTruncation, reportTruncations } from "./receipts.ts";
import {
  context,
  follow,
  idOf,
  imageOf,
  ordersId,
  partitionIn,
  partitionOf,
  sessionOf,
  shapeOf,
} from "./testing/world.ts";

const orders0 = { topicId: ordersId, partition: partitionIndex(0) };
const leaderless = (fields: Parameters<typeof partitionOf>[0] = {}): Partition =>
  partitionOf({ isr: [], elr: [1], leader: undefined, ...fields });
const live = (partition: Partition, ...brokers: readonly number[]) =>
  imageOf(
    brokers.map((id) => sessionOf(id)),
    [partition],
  );

function answer(broker: number, lastLeaderEpoch: number, logEnd: number, epoch = 1): AnsweredPosition {
  return {
    brokerId: brokerId(broker),
    brokerEpoch: brokerEpoch(epoch),
    lastLeaderEpoch,
    logEnd: offset(BigInt(logEnd)),
    logStart: offset(0n),
  };
}

function elect(image: MetadataImage, ...positions: readonly AnsweredPosition[]) {
  return electUnclean(
    image,
    { partitions: [orders0], positions: new Map([[receiptId(orders0), positions]]), commanded: true, timeMs: 5 },
    context,
  );
}

describe("an unclean election (D2)", () => {
  test.each([
    ["the highest last leader epoch, whatever the length", [answer(2, 4, 90), answer(3, 5, 10)], 3],
    ["of the same last leader epoch the longest log", [answer(2, 4, 90), answer(3, 4, 91)], 3],
    ["of equals the first in the order of assignment", [answer(3, 4, 90), answer(2, 4, 90)], 2],
    ["an empty log, where there is no other", [answer(2, -1, 0)], 2],
  ])("takes %s", (_, positions, leader) => {
    const image = live(leaderless(), 2, 3);
    const { image: after, answer: results } = follow(image, elect(image, ...positions));
    expect(shapeOf(partitionIn(after))).toEqual({
      leader,
      isr: [leader],
      elr: [],
      leaderEpoch: 5,
      partitionEpoch: 8,
    });
    expect(partitionIn(after).recovering).toBe(true);
    expect(results).toMatchObject([{ refusal: undefined }]);
  });

  test.each<readonly [string, MetadataImage, readonly AnsweredPosition[], Reason]>([
    ["a partition that has a leader", live(partitionOf(), 1, 2, 3), [answer(2, 9, 9)], Reason.ELECTION_NOT_NEEDED],
    ["one of which nobody answered", live(leaderless(), 2, 3), [], Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE],
    [
      "an answer of a broker that is gone",
      live(leaderless(), 3),
      [answer(2, 4, 9)],
      Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ],
    [
      "an answer of an incarnation that is gone",
      live(leaderless(), 2),
      [answer(2, 4, 9, 7)],
      Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ],
    [
      "an answer of a broker that has no replica",
      live(leaderless(), 4),
      [answer(4, 4, 9)],
      Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ],
    [
      "an answer of a replica that is damaged",
      live(
        { ...leaderless(), replicas: leaderless().replicas.map((each) => ({ ...each, damagedIn: brokerEpoch(1) })) },
        2,
      ),
      [answer(2, 4, 9)],
      Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ],
  ])("does not touch %s", (_, image, positions, reason) => {
    expect(elect(image, ...positions)).toMatchObject({
      kind: "decided",
      changes: [],
      answer: [{ refusal: { reason } }],
    });
  });

  it("decides on command where replicas have seen later leader epochs than the metadata, though there is a leader", () => {
    const image = live(partitionOf(), 1, 2, 3);
    const later = { ...answer(2, 9, 20), regressedFrom: leaderEpoch(9) };
    const { image: after } = follow(image, elect(image, answer(1, 4, 30), later));
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 10 });
    const positions = new Map([[receiptId(orders0), [later]]]);
    const byItself = { partitions: [orders0], positions, commanded: false, timeMs: 5 };
    expect(electUnclean(image, byItself, context)).toMatchObject({
      answer: [{ refusal: { reason: Reason.ELECTION_NOT_NEEDED } }],
    });
  });

  it("leaves nobody eligible beside the leader: the others hold another history", () => {
    const image = live(leaderless({ elr: [1, 3] }), 2, 3);
    expect(partitionIn(follow(image, elect(image, answer(2, 4, 9))).image).elr).toEqual([]);
  });

  it("passes over partitions that are gone", () => {
    const image = live(leaderless(), 2);
    const command = {
      partitions: [{ ...orders0, topicId: idOf(9) }],
      positions: new Map(),
      commanded: true,
      timeMs: 1,
    };
    expect(electUnclean(image, command, context)).toMatchObject({ changes: [], answer: [] });
  });
});

describe("a receipt (D3)", () => {
  const elected = () => {
    const image = live(leaderless(), 2, 3);
    return follow(image, elect(image, answer(2, 4, 90), answer(3, 3, 95))).image;
  };
  const report = (image: MetadataImage, broker: number, fields: Partial<ReportedTruncation> = {}) =>
    reportTruncations(image, {
      brokerId: brokerId(broker),
      brokerEpoch: brokerEpoch(1),
      truncations: [
        { ...orders0, leaderEpoch: leaderEpoch(5), firstOffset: offset(80n), logEnd: offset(95n), ...fields },
      ],
    });

  it("is opened with what was answered, and awaits every other replica, also one that is away", () => {
    expect(findReceipt(elected(), orders0)).toEqual({
      ...orders0,
      leaderEpoch: 5,
      leader: 2,
      commanded: true,
      timeMs: 5,
      positions: [
        { brokerId: 2, lastLeaderEpoch: 4, logEnd: 90n, logStart: 0n },
        { brokerId: 3, lastLeaderEpoch: 3, logEnd: 95n, logStart: 0n },
      ],
      cuts: [],
      awaited: [1, 3],
    });
  });

  it("awaits the leader too, where the receipt before still awaited what it cut", () => {
    const [first] = [elected()];
    const again = leaderless({ leaderEpoch: leaderEpoch(6), partitionEpoch: partitionEpoch(9) });
    const without = applyChanges(first, [{ kind: "partition", ...orders0, value: again }]).image;
    const { image } = follow(without, elect(without, answer(3, 5, 95)));
    expect(findReceipt(image, orders0)).toMatchObject({ leader: 3, leaderEpoch: 7, awaited: [1, 2, 3] });
    const later = follow(image, report(image, 3, { leaderEpoch: leaderEpoch(7) })).image;
    expect(findReceipt(later, orders0)?.awaited).toEqual([1, 2]);
  });

  it("is in one batch with its election, however many there are", () => {
    const partitions = [0, 1, 2].map((index) => ({ topicId: ordersId, partition: partitionIndex(index) }));
    const image = imageOf(
      [sessionOf(2)],
      partitions.map(({ partition }) => leaderless({ partition })),
    );
    const positions = new Map(partitions.map((each) => [receiptId(each), [answer(2, 4, 9)]]));
    const decision = electUnclean(image, { partitions, positions, commanded: true, timeMs: 5 }, context);
    const changes = decision.kind === "decided" ? decision.changes : [];
    const batches = splitIntoBatches(changes, { changesMax: 5, bytesMax: 1000 }, () => 10);
    expect(batches.map((batch) => batch.map(({ kind }) => kind))).toEqual([
      ["partition", "receipt", "partition", "receipt"],
      ["partition", "receipt"],
    ]);
    const byBytes = splitIntoBatches(changes, { changesMax: 50, bytesMax: 50 }, () => 10);
    expect(byBytes.map((batch) => batch.length)).toEqual([4, 2]);
  });

  it("is completed as each replica says what it cut, also in a later leader epoch", () => {
    const one = follow(elected(), report(elected(), 3, { leaderEpoch: leaderEpoch(6) })).image;
    expect(findReceipt(one, orders0)).toMatchObject({
      cuts: [{ brokerId: 3, firstOffset: 80n, logEnd: 95n }],
      awaited: [1],
    });
    const back = applyChanges(one, [{ kind: "brokerSession", brokerId: brokerId(1), value: sessionOf(1) }]).image;
    expect(findReceipt(follow(back, report(back, 1)).image, orders0)?.awaited).toEqual([]);
  });

  test.each([
    ["of a replica that follows an older leader", 3, { leaderEpoch: leaderEpoch(4) }],
    ["of the leader itself", 2, {}],
    ["of a partition without a receipt", 3, { partition: partitionIndex(7) }],
  ])("does not take a report %s", (_, broker, fields) => {
    expect(report(elected(), broker, fields)).toMatchObject({ kind: "decided", changes: [] });
  });

  it("takes one report of each replica: a repeat changes nothing", () => {
    const once = follow(elected(), report(elected(), 3)).image;
    expect(report(once, 3, { firstOffset: offset(1n) })).toMatchObject({ kind: "decided", changes: [] });
  });

  it("of a session that is another is refused", () => {
    const gone = applyChanges(elected(), [{ kind: "brokerSession", brokerId: brokerId(3), value: undefined }]).image;
    expect(report(gone, 3)).toMatchObject({ kind: "refused", refusal: { reason: Reason.BROKER_NOT_REGISTERED } });
  });

  it("goes with its topic, also when the controller died in between", () => {
    const image = elected();
    const decision = deleteTopic(image, { name: "orders", topicId: undefined });
    expect(follow(image, decision).image.receipts.size).toBe(0);
    const half = applyChanges(image, decision.kind === "decided" ? decision.changes.slice(0, 2) : []).image;
    expect(half.receipts.size).toBe(1);
    expect(follow(half, sweepOrphans(half)).image.receipts.size).toBe(0);
  });
});
