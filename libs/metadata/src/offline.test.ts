import { brokerEpoch, brokerId, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { expect, test } from "vitest";
import { alterPartitions } from "./alter-partition.ts";
import { applyChanges } from "./apply.ts";
import { removal } from "./change.ts";
import { describeBrokers, describeTopic } from "./describe.ts";
import { endSessions, reportDamage } from "./end-sessions.ts";
import { findTopicById, type MetadataImage } from "./image.ts";
import type { Partition } from "./model.ts";
import { isNewOffline, reportOffline } from "./offline.ts";
import type { OfflineReplicas } from "./offline-mark.ts";
import { registerBroker } from "./register-broker.ts";
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

const three = (...partitions: readonly Partition[]) => imageOf([sessionOf(1), sessionOf(2), sessionOf(3)], partitions);
const theReplica = [{ topicId: ordersId, partition: partitionIndex(0) }];
const offlineOf = (broker: number, epoch = 1): OfflineReplicas => ({
  brokerId: brokerId(broker),
  brokerEpoch: brokerEpoch(epoch),
  offline: theReplica,
  served: [],
});
const servedBy = (broker: number): OfflineReplicas => ({ ...offlineOf(broker), offline: [], served: theReplica });
/** After these reports, in their order; each is new, and changes nothing when it is repeated. */
const after = (image: MetadataImage, ...reports: readonly OfflineReplicas[]) =>
  reports.reduce((before, report) => {
    expect(isNewOffline(before, report)).toBe(true);
    const { image: next } = follow(before, reportOffline(before, report, context));
    expect(isNewOffline(next, report)).toBe(false);
    expect(reportOffline(next, report, context)).toMatchObject({ changes: [] });
    return next;
  }, image);
/** Without the session of this broker, which the elections are still to follow. */
const dead = (image: MetadataImage, broker: number) =>
  applyChanges(image, [removal({ kind: "brokerSession", brokerId: brokerId(broker) })]).image;

test.each([
  { what: "of the leader: another member leads", before: {}, broker: 1, after: { leader: 2, isr: [2, 3], elr: [] } },
  {
    what: "of the leader of two: the other leads, and it stays eligible",
    before: { isr: [1, 2] },
    broker: 1,
    after: { leader: 2, isr: [2], elr: [1] },
  },
  { what: "of a member: it leaves the ISR", before: {}, broker: 3, after: { leader: 1, isr: [1, 2], elr: [] } },
  {
    what: "of the last member: an eligible one leads, and it stays eligible",
    before: { isr: [1], elr: [2] },
    broker: 1,
    after: { leader: 2, isr: [2], elr: [1] },
  },
  {
    what: "of the last member, and nobody is eligible: nobody leads",
    before: { isr: [1] },
    broker: 1,
    after: { leader: undefined, isr: [], elr: [1] },
  },
  {
    what: "of an eligible one: it stays eligible",
    before: { isr: [1], elr: [2] },
    broker: 2,
    after: { leader: 1, isr: [1], elr: [2] },
  },
])("a replica that its broker cannot serve, $what", ({ before, broker, after: expected }) => {
  expect(shapeOf(partitionIn(after(three(partitionOf(before)), offlineOf(broker))))).toMatchObject(expected);
});

test("the last member that is not served leads again as soon as it is", () => {
  const image = three(partitionOf({ isr: [1] }));
  const shape = shapeOf(partitionIn(after(image, offlineOf(1), servedBy(1))));
  expect(shape).toMatchObject({ leader: 1, isr: [1], elr: [], leaderEpoch: 6 });
});

test("two that cannot be served do not hand a partition to each other, and the first that is served again leads", () => {
  const image = after(three(partitionOf({ isr: [1], elr: [2] })), offlineOf(1), offlineOf(2));
  expect(shapeOf(partitionIn(image))).toMatchObject({ leader: undefined, isr: [], elr: [1, 2], leaderEpoch: 6 });
  const next = after(image, servedBy(2));
  expect(shapeOf(partitionIn(next))).toMatchObject({ leader: 2, isr: [2], elr: [1] });
});

test("an eligible replica that is not served is not elected when the last member's session ends, nor damaged", () => {
  const image = after(three(partitionOf({ isr: [1], elr: [2] })), offlineOf(2));
  const ended = [{ brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), cause: "session timeout" as const }];
  const { image: next } = follow(image, endSessions(image, ended, context));
  expect(shapeOf(partitionIn(next))).toMatchObject({ leader: undefined, isr: [], elr: [1, 2] });
  const damage = { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), damaged: theReplica };
  const { image: worse } = follow(image, reportDamage(image, damage, context));
  expect(shapeOf(partitionIn(worse))).toMatchObject({ leader: undefined, isr: [], elr: [2] });
});

test("who is damaged hands over to an eligible one", () => {
  const image = three(partitionOf({ isr: [1], elr: [2] }));
  const damage = { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), damaged: theReplica };
  const { image: next } = follow(image, reportDamage(image, damage, context));
  expect(shapeOf(partitionIn(next))).toMatchObject({ leader: 2, isr: [2], elr: [] });
});

test("a replica that is not served is not taken into the ISR, and its mark goes when it is", () => {
  const proposal = (epoch: number) => ({
    brokerId: brokerId(1),
    brokerEpoch: brokerEpoch(1),
    proposals: [
      {
        topicId: ordersId,
        partition: partitionIndex(0),
        leaderEpoch: partitionOf().leaderEpoch,
        partitionEpoch: epoch,
        isr: [1, 3].map((id) => ({ brokerId: brokerId(id), brokerEpoch: brokerEpoch(1) })),
        recovered: false,
      },
    ],
  });
  const image = after(three(partitionOf({ isr: [1] })), offlineOf(3));
  expect(alterPartitions(image, proposal(8), context.controllerEpoch)).toMatchObject({
    answer: [
      {
        kind: "refused",
        refusal: { reason: Reason.INELIGIBLE_REPLICA, message: "Broker 3 says that its replica is not served" },
      },
    ],
  });
  const next = after(image, servedBy(3));
  const { image: joined } = follow(next, alterPartitions(next, proposal(9), context.controllerEpoch));
  expect(partitionIn(joined)).toMatchObject({ isr: [1, 3] });
  expect(partitionIn(joined).replicas.some((replica) => "offlineIn" in replica)).toBe(false);
});

test("a mark holds for the broker epoch in which it was told: who registers anew is taken to serve", () => {
  const image = dead(after(three(partitionOf({ isr: [1] })), offlineOf(1)), 1);
  const { image: next } = follow(image, registerBroker(image, registrationOf(1), context));
  expect(shapeOf(partitionIn(next))).toMatchObject({ leader: 1, isr: [1] });
  expect(isNewOffline(next, offlineOf(1, 2))).toBe(true);
});

test.each([
  { what: "the last member leads nothing", before: { isr: [1] }, after: { leader: undefined, isr: [], elr: [1] } },
  { what: "a leader hands over", before: {}, after: { leader: 2, isr: [2, 3], elr: [] } },
  { what: "an eligible one stays so", before: { isr: [2], elr: [1] }, after: { leader: 2, isr: [2], elr: [1] } },
])("a registration names what is not served, so that it counts from the first moment: $what", ({ before, after }) => {
  const image = three(partitionOf(before));
  const { image: next } = follow(image, registerBroker(image, registrationOf(1, { offline: theReplica }), context));
  expect(shapeOf(partitionIn(next))).toMatchObject(after);
  expect(isNewOffline(next, offlineOf(1, 2))).toBe(false);
});

test("a description names the replicas that are not served, and counts what each broker cannot use", () => {
  const image = dead(after(three(partitionOf({ isr: [1] })), offlineOf(3)), 2);
  const topic = findTopicById(image, ordersId);
  expect(topic && describeTopic(image, topic).partitions).toMatchObject([{ offline: [2, 3], notServed: [3] }]);
  expect(describeBrokers(image).map(({ offlineReplicas }) => offlineReplicas)).toEqual([0, 1, 1]);
});

test("what is told of partitions that are not there, or of which it has no replica, changes nothing", () => {
  const image = three(partitionOf({ replicas: [1, 2] }));
  for (const report of [
    offlineOf(3),
    servedBy(1),
    { ...offlineOf(1), offline: [{ topicId: ordersId, partition: partitionIndex(9) }] },
  ]) {
    expect(isNewOffline(image, report)).toBe(false);
    expect(reportOffline(image, report, context)).toMatchObject({ kind: "decided", changes: [] });
  }
});

test("a broker of an older session is not believed", () => {
  const image = three(partitionOf());
  expect(reportOffline(image, offlineOf(1, 9), context)).toMatchObject({
    kind: "refused",
    refusal: { reason: Reason.STALE_BROKER_EPOCH },
  });
});
