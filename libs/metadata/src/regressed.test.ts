import { brokerEpoch, brokerId, leaderEpoch, offset, partitionEpoch, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it, test } from "vitest";
import { electPreferred, rebalanceLeaders } from "./elect-preferred.ts";
import { electUnclean } from "./elect-unclean.ts";
import { endSessions, repairPartitions, reportRegressed } from "./end-sessions.ts";
import { type MetadataImage, receiptId } from "./image.ts";
import type { Partition } from "./model.ts";
import { readPartition, writePartition } from "./records.ts";
import { registerBroker } from "./register-broker.ts";
import { isNewRegression, type SeenState } from "./regressed.ts";
import {
  context,
  follow,
  imageOf,
  ordersId,
  partitionIn,
  partitionOf,
  registrationOf,
  sessionOf,
  shapeOf,
} from "./testing/world.ts";

const orders0 = { topicId: ordersId, partition: partitionIndex(0) };
const living = (partition: Partition = partitionOf(), ...brokers: readonly number[]) =>
  imageOf(
    (brokers.length > 0 ? brokers : [1, 2, 3]).map((id) => sessionOf(id)),
    [partition],
  );
/** Partitions are in leader epoch 4 and partition epoch 7 where nothing else is said. */
const seen = (leader: number, partition?: number): SeenState => ({
  ...orders0,
  leaderEpoch: leaderEpoch(leader),
  partitionEpoch: partition === undefined ? undefined : partitionEpoch(partition),
});
const told = (image: MetadataImage, by: number, state: SeenState) =>
  reportRegressed(image, { brokerId: brokerId(by), brokerEpoch: brokerEpoch(1), seen: [state] }, context);

function registered(image: MetadataImage, broker: number, regressed: readonly SeenState[] = []): MetadataImage {
  const command = registrationOf(broker, { bootId: "", regressed });
  return follow(image, registerBroker(image, command, context)).image;
}

function ended(image: MetadataImage, ...brokers: readonly number[]): MetadataImage {
  const sessions = brokers.map((id) => ({
    brokerId: brokerId(id),
    brokerEpoch: image.sessions.get(brokerId(id))?.brokerEpoch ?? brokerEpoch(0),
    cause: "session timeout" as const,
  }));
  return follow(image, endSessions(image, sessions, context)).image;
}

/** Marked by what broker 2 told of leader epoch 9. */
const marked = () => follow(living(), told(living(), 2, seen(9))).image;

describe("a partition whose replicas have seen more than the metadata know of", () => {
  test.each<readonly [string, SeenState, number | undefined]>([
    ["a later leader epoch", seen(5), 5],
    ["a later partition epoch of the same leader epoch", seen(4, 8), 4],
    ["a later partition epoch, though a registration raised the leader epoch since", seen(3, 8), 3],
    ["the same", seen(4, 7), undefined],
    ["the same leader epoch, in a log", seen(4), undefined],
    ["earlier epochs", seen(3, 6), undefined],
  ])("is marked where a replica has seen %s, and no other is", (_, state, mark) => {
    const image = living();
    expect(isNewRegression(image, { brokerId: brokerId(2), seen: [state] })).toBe(mark !== undefined);
    const { image: after } = follow(image, told(image, 2, state));
    expect(partitionIn(after).regressedFrom).toBe(mark);
    expect(partitionIn(after).leader).toBe(mark === undefined ? 1 : undefined);
  });

  it("loses its leader with the mark, and keeps its members eligible", () => {
    expect(shapeOf(partitionIn(marked()))).toEqual({
      leader: undefined,
      isr: [],
      elr: [1, 2, 3],
      leaderEpoch: 5,
      partitionEpoch: 8,
    });
    expect(told(living(), 2, seen(9))).toMatchObject({
      events: [{ kind: "elected", cause: "metadata regressed", rule: "none" }, { kind: "isrChanged" }],
    });
  });

  it("is marked by brokers that have a replica and a session, and by no others", () => {
    expect(isNewRegression(living(), { brokerId: brokerId(4), seen: [seen(9)] })).toBe(false);
    expect(told(living(partitionOf(), 1), 2, seen(9))).toMatchObject({
      refusal: { reason: Reason.BROKER_NOT_REGISTERED },
    });
  });

  it("takes the newest that any replica has seen, and changes for nothing else", () => {
    const later = follow(marked(), told(marked(), 3, seen(12))).image;
    expect(partitionIn(later).regressedFrom).toBe(12);
    expect(told(later, 1, seen(11))).toMatchObject({ kind: "decided", changes: [] });
    expect(partitionIn(later).leaderEpoch).toBe(5);
  });

  it("stays without a leader through registrations, ended sessions and other controllers", () => {
    let image = registered(marked(), 1);
    image = ended(image, 1, 2, 3);
    for (const broker of [3, 2, 1]) image = registered(image, broker);
    image = follow(image, repairPartitions(image, context)).image;
    expect(shapeOf(partitionIn(image))).toMatchObject({ leader: undefined, isr: [], elr: [1, 2, 3] });
    expect(partitionIn(image).regressedFrom).toBe(9);
  });

  it("is marked by the registration itself, before that gives anybody a leader epoch", () => {
    const restored = living(partitionOf({ isr: [], elr: [1, 2], leader: undefined }), 3);
    const byTheLonger = registered(restored, 2, [seen(5)]);
    expect(partitionIn(byTheLonger)).toMatchObject({ leader: undefined, regressedFrom: 5 });
    expect(partitionIn(registered(byTheLonger, 1)).leader).toBeUndefined();
    expect(partitionIn(registered(restored, 2)).leader).toBe(2);
  });

  it("is not given to its preferred replica, by command or by itself", () => {
    const image = marked();
    const wanted = { name: "orders", partitions: [partitionIndex(0)] };
    const { answer } = follow(image, electPreferred(image, wanted, context));
    expect(answer).toMatchObject([{ refusal: { reason: Reason.PREFERRED_LEADER_NOT_AVAILABLE } }]);
    expect(rebalanceLeaders(image, { imbalancePercentageMax: 0 }, context)).toMatchObject({ answer: 0, changes: [] });
  });

  it("is led again by an unclean election on command alone, above all that was seen", () => {
    const image = marked();
    const position = {
      brokerId: brokerId(3),
      brokerEpoch: brokerEpoch(1),
      lastLeaderEpoch: 7,
      logEnd: offset(20n),
      logStart: offset(0n),
    };
    const command = { partitions: [orders0], positions: new Map([[receiptId(orders0), [position]]]), timeMs: 5 };
    const byItself = electUnclean(image, { ...command, commanded: false }, context);
    expect(byItself).toMatchObject({ changes: [], answer: [{ refusal: { reason: Reason.METADATA_REGRESSED } }] });
    const { image: after } = follow(image, electUnclean(image, { ...command, commanded: true }, context));
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 3, isr: [3], elr: [], leaderEpoch: 10 });
    expect(partitionIn(after).regressedFrom).toBeUndefined();
  });

  it("keeps its mark in the store", () => {
    const partition = partitionIn(marked());
    expect(readPartition(writePartition(partition))).toEqual(partition);
    expect(readPartition(writePartition(partitionOf()))).toEqual(partitionOf());
  });
});
