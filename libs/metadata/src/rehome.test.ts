import { brokerId, leaderEpoch, partitionEpoch, partitionIndex } from "@tidemark/ids";
import { expect, test } from "vitest";
import { alterPartitions } from "./alter-partition.ts";
import { configureTopic } from "./configure-topic.ts";
import { electUnclean } from "./elect-unclean.ts";
import { endSessions } from "./end-sessions.ts";
import type { MetadataImage } from "./image.ts";
import type { Partition } from "./model.ts";
import { type RegisterBrokerCommand, registerBroker } from "./register-broker.ts";
import {
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
} from "./testing/world.ts";

const three = (...partitions: readonly Partition[]) => imageOf([sessionOf(1), sessionOf(2), sessionOf(3)], partitions);
const [old, fresh] = [directoryOf(1), directoryOf(1, 1)];
const ended = (image: MetadataImage, ...brokers: readonly number[]) => {
  const all = brokers.map((id) => {
    const { brokerEpoch } = image.sessions.get(brokerId(id)) ?? sessionOf(id);
    return { brokerId: brokerId(id), brokerEpoch, cause: "session timeout" } as const;
  });
  return follow(image, endSessions(image, all, context)).image;
};
const registered = (image: MetadataImage, broker = 1, fields: Partial<RegisterBrokerCommand> = {}) =>
  follow(image, registerBroker(image, registrationOf(broker, fields), context)).image;
/** Broker 1 comes back without the directory that it had. */
const replaced = (image: MetadataImage, fields: Partial<RegisterBrokerCommand> = {}) =>
  registered(image, 1, { directoryIds: [fresh], ...fields });
const directoryIn = (image: MetadataImage, index = 0) =>
  partitionIn(image, index).replicas.find((each) => each.brokerId === 1)?.directoryId;

test("a replica that nobody relies on gets the new directory, and its partition a newer epoch", () => {
  const before = ended(three(partitionOf()), 1);
  const after = replaced(before);
  expect(directoryIn(after)).toBe(fresh);
  expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2, 3], elr: [] });
  expect(partitionIn(after).partitionEpoch).toBe(partitionIn(before).partitionEpoch + 1);
  expect(partitionIn(after).leaderEpoch).toBe(partitionIn(before).leaderEpoch);
});

test("one that was in sync to the last leaves the ISR and gets the new directory in one registration", () => {
  const two = { directoryIds: [old, directoryOf(1, 2)] };
  const image = imageOf([sessionOf(1, two), sessionOf(2), sessionOf(3)], [partitionOf()]);
  const after = replaced(image, { directoryIds: [fresh, directoryOf(1, 2)] });
  expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2, 3], elr: [] });
  expect(directoryIn(after)).toBe(fresh);
});

test.each<readonly [string, MetadataImage, Partial<RegisterBrokerCommand>, object]>([
  [
    "whose broker has a directory that failed: that may be the one",
    ended(three(partitionOf()), 1),
    { allDirectoriesWork: false },
    { leader: 2, isr: [2, 3] },
  ],
  [
    "whose directory is there",
    ended(three(partitionOf()), 1),
    { directoryIds: [fresh, old] },
    { leader: 2, isr: [2, 3] },
  ],
  [
    "that is eligible: a disk that is not mounted is not lost (D8)",
    ended(three(partitionOf({ isr: [1, 2] })), 1),
    {},
    { leader: 2, isr: [2], elr: [1] },
  ],
  [
    "that was the last in sync: nobody leads",
    ended(three(partitionOf({ isr: [1] })), 1),
    {},
    { leader: undefined, isr: [], elr: [1] },
  ],
  [
    "of a partition without a leader, though it is not eligible",
    three(partitionOf({ isr: [], elr: [4], replicas: [1, 4], leader: undefined })),
    { directoryIds: [fresh, directoryOf(1, 2)] },
    { leader: undefined, isr: [], elr: [4] },
  ],
  [
    "of a partition whose metadata are older than its replicas",
    { ...ended(three(partitionOf({ isr: [2, 3], regressedFrom: leaderEpoch(9) })), 1) },
    {},
    {},
  ],
])("a replica keeps its directory %s", (_, image, fields, shape) => {
  const after = replaced(ended(image, 1), fields);
  expect(directoryIn(after)).toBe(old);
  expect(shapeOf(partitionIn(after))).toMatchObject(shape);
});

test("an operator who forgot to mount a disk loses nothing by it: the last in sync leads again when it is back", () => {
  const unmounted = replaced(ended(three(partitionOf({ isr: [1] })), 1));
  const mounted = registered(ended(unmounted, 1));
  expect(shapeOf(partitionIn(mounted))).toMatchObject({ leader: 1, isr: [1] });
  expect(directoryIn(mounted)).toBe(old);
});

test("the disks of all brokers may be mounted late: none gets another directory, and all lead again", () => {
  let image = ended(ended(ended(three(partitionOf()), 1), 2), 3);
  for (const id of [1, 2, 3]) image = registered(image, id, { directoryIds: [directoryOf(id, 1)] });
  expect(partitionIn(image).replicas).toEqual(partitionOf().replicas);
  expect(partitionIn(image).leader).toBeUndefined();
  image = registered(ended(image, 3), 3);
  expect(partitionIn(image)).toMatchObject({ leader: 3, isr: [3] });
});

test.each<readonly [string, (image: MetadataImage) => MetadataImage]>([
  [
    "when the min ISR is lowered to what is in sync",
    (image) => {
      const command = { name: "orders", settings: new Map(), minInsyncReplicas: 1 };
      return follow(image, configureTopic(image, command, context.controllerEpoch)).image;
    },
  ],
  [
    "when others are in sync again",
    (image) => {
      const isr = [2, 3].map((id) => ({ brokerId: brokerId(id), brokerEpoch: sessionOf(id).brokerEpoch }));
      const { leaderEpoch: leads, partitionEpoch: at } = partitionIn(image);
      const proposal = { topicId: ordersId, partition: partitionIndex(0), leaderEpoch: leads, partitionEpoch: at };
      const proposals = [{ ...proposal, isr, recovered: false }];
      const command = { brokerId: brokerId(2), brokerEpoch: sessionOf(2).brokerEpoch, proposals };
      return follow(image, alterPartitions(image, command, context.controllerEpoch)).image;
    },
  ],
])("an eligible replica is given up %s, by the next registration", (_, change) => {
  const waiting = replaced(ended(three(partitionOf({ isr: [1, 2] })), 1));
  expect(directoryIn(replaced(waiting))).toBe(old);
  const relieved = change(waiting);
  expect(partitionIn(relieved).elr).toEqual([]);
  expect(directoryIn(replaced(relieved))).toBe(fresh);
});

test("the last in sync is given up by an unclean election alone, which leaves a receipt", () => {
  const waiting = replaced(ended(three(partitionOf({ isr: [1] })), 1));
  const { brokerEpoch } = sessionOf(2);
  const position = { lastLeaderEpoch: leaderEpoch(1), logEnd: 5n as never, logStart: 0n as never };
  const command = {
    partitions: [{ topicId: ordersId, partition: partitionIndex(0) }],
    positions: new Map([[`${ordersId}/0`, [{ brokerId: brokerId(2), brokerEpoch, ...position }]]]),
    commanded: true,
    timeMs: 0,
  };
  const elected = follow(waiting, electUnclean(waiting, command, context)).image;
  expect(partitionIn(elected)).toMatchObject({ leader: 2, elr: [] });
  expect(elected.receipts.size).toBe(1);
  expect(directoryIn(replaced(elected))).toBe(fresh);
});

test("a late proposal does not bring a replica into the ISR that was given another directory", () => {
  const before = ended(three(partitionOf()), 1);
  const after = replaced(before);
  const members = [1, 2, 3].map((id) => ({ brokerId: brokerId(id), brokerEpoch: sessionOf(id).brokerEpoch }));
  const { leaderEpoch: leads, partitionEpoch: at } = partitionIn(before);
  const proposal = { topicId: ordersId, partition: partitionIndex(0), leaderEpoch: leads, partitionEpoch: at };
  const proposals = [{ ...proposal, isr: members, recovered: false }];
  const decision = alterPartitions(
    after,
    { brokerId: brokerId(2), brokerEpoch: sessionOf(2).brokerEpoch, proposals },
    context.controllerEpoch,
  );
  expect(partitionIn(follow(after, decision).image).isr).toEqual([2, 3]);
});

test("replicas are spread over the directories that there are, and a half committed registration ends the same", () => {
  const partitions = [0, 1, 2, 3].map((index) => partitionOf({ partition: partitionIndex(index) }));
  const before = ended(three(...partitions), 1);
  const other = directoryOf(1, 2);
  const fields = { directoryIds: [fresh, other] };
  const homes = (image: MetadataImage) => [0, 1, 2, 3].map((index) => directoryIn(image, index));
  const after = replaced(before, fields);
  expect(homes(after)).toEqual([fresh, other, fresh, other]);
  expect(partitionIn(after).partitionEpoch).toBe(partitionEpoch(partitionIn(before).partitionEpoch + 1));
  expect(homes(replaced(after, fields))).toEqual(homes(after));
});
