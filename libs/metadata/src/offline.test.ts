import { brokerEpoch, brokerId, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { expect, test } from "vitest";
import type { Partition } from "./model.ts";
import { isToStepAside, reportOffline } from "./offline.ts";
import { context, follow, imageOf, ordersId, partitionIn, partitionOf, sessionOf, shapeOf } from "./testing/world.ts";

const three = (...partitions: readonly Partition[]) => imageOf([sessionOf(1), sessionOf(2), sessionOf(3)], partitions);
const offlineOf = (broker: number, epoch = 1) => ({
  brokerId: brokerId(broker),
  brokerEpoch: brokerEpoch(epoch),
  offline: [{ topicId: ordersId, partition: partitionIndex(0) }],
});

test.each([
  { what: "of the leader: another member leads", before: {}, broker: 1, after: { leader: 2, isr: [2, 3], elr: [] } },
  {
    what: "of the leader of two: the other leads, and it stays eligible",
    before: { isr: [1, 2] },
    broker: 1,
    after: { leader: 2, isr: [2], elr: [1] },
  },
  { what: "of a member: it leaves the ISR", before: {}, broker: 3, after: { leader: 1, isr: [1, 2], elr: [] } },
])("a replica that its broker cannot serve, $what", ({ before, broker, after }) => {
  const image = three(partitionOf(before));
  expect(isToStepAside(image, offlineOf(broker))).toBe(true);
  const { image: next } = follow(image, reportOffline(image, offlineOf(broker), context));
  expect(shapeOf(partitionIn(next))).toMatchObject(after);
  expect(isToStepAside(next, offlineOf(broker))).toBe(false);
  expect(reportOffline(next, offlineOf(broker), context)).toMatchObject({ changes: [] });
});

test.each([
  ["the last member leads on, though another is eligible and would hand it back", { isr: [1], elr: [2] }, 1],
  ["who is out of the ISR changes nothing", { isr: [1, 2] }, 3],
])("%s", (_, before, broker) => {
  const image = three(partitionOf(before));
  expect(isToStepAside(image, offlineOf(broker))).toBe(false);
  expect(reportOffline(image, offlineOf(broker), context)).toMatchObject({ kind: "decided", changes: [] });
});

test("a broker of an older session is not believed", () => {
  const image = three(partitionOf());
  expect(reportOffline(image, offlineOf(1, 9), context)).toMatchObject({
    kind: "refused",
    refusal: { reason: Reason.STALE_BROKER_EPOCH },
  });
});
