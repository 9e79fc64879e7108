import { brokerEpoch, brokerId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { applyChanges } from "./apply.ts";
import { splitIntoBatches } from "./batches.ts";
import { keyOfChange, type MetadataChange } from "./change.ts";
import { repairPartitions } from "./end-sessions.ts";
import { emptyImage, type MetadataImage } from "./image.ts";
import type { Partition } from "./model.ts";
import { type RegisterBrokerCommand, registerBroker, sessionProblem } from "./register-broker.ts";
import {
  context,
  directoryOf,
  follow,
  imageOf,
  partitionIn,
  partitionOf,
  registrationOf,
  sessionOf,
  shapeOf,
} from "./testing/world.ts";
import { changeToJson } from "./wire.ts";

const registered = (image: MetadataImage, command: RegisterBrokerCommand) =>
  follow(image, registerBroker(image, command, context));

describe("a registration", () => {
  it("begins a session with the broker epoch after the last one, however that ended", () => {
    let image = imageOf([]);
    for (const expected of [1, 2, 3]) {
      const { image: after, answer } = registered(image, registrationOf(1));
      expect(answer).toBe(expected);
      expect(after.sessions.get(brokerId(1))).toMatchObject({ brokerEpoch: expected, state: "running" });
      image = applyChanges(after, [{ kind: "brokerSession", brokerId: brokerId(1), value: undefined }]).image;
    }
  });

  it("can be written down after thousands that each brought another directory", () => {
    let image = imageOf([]);
    for (let disk = 0; disk < 2000; disk++) {
      const directoryIds = [directoryOf(7, disk), directoryOf(1)];
      const { image: after } = registered(image, registrationOf(1, { directoryIds }));
      image = applyChanges(after, [{ kind: "brokerSession", brokerId: brokerId(1), value: undefined }]).image;
      const value = after.knownBrokers.get(brokerId(1));
      expect(value?.directoryIds).toEqual(expect.arrayContaining(directoryIds));
      const json = changeToJson({ kind: "knownBroker", brokerId: brokerId(1), value });
      // What a value of the store holds at most (C10).
      expect(json?.length).toBeLessThan(64 * 1024);
    }
  });

  test.each([
    ["in a cluster that is not set up", emptyImage, registrationOf(1), Reason.NOT_ATTEMPTED],
    ["of another cluster", imageOf([]), registrationOf(1, { clusterId: "other" }), Reason.CLUSTER_ID_MISMATCH],
    ["without a directory", imageOf([]), registrationOf(1, { directoryIds: [] }), Reason.INVALID_ARGUMENT],
    ["without an endpoint", imageOf([]), registrationOf(1, { endpoints: [] }), Reason.INVALID_ARGUMENT],
    [
      "that names a directory twice",
      imageOf([]),
      registrationOf(1, { directoryIds: [directoryOf(1), directoryOf(1)] }),
      Reason.INVALID_ARGUMENT,
    ],
    [
      "with the directory of another broker",
      imageOf([sessionOf(2)]),
      registrationOf(1, { directoryIds: [directoryOf(2)] }),
      Reason.INVALID_ARGUMENT,
    ],
    [
      "of a living broker's id with other directories (D8)",
      imageOf([sessionOf(1)]),
      registrationOf(1, { directoryIds: [directoryOf(1, 1)] }),
      Reason.DUPLICATE_BROKER_ID,
    ],
  ])("%s is refused", (_, image, command, reason) => {
    expect(registerBroker(image, command, context)).toMatchObject({ kind: "refused", refusal: { reason } });
  });

  it.each<readonly [string, Partition, object]>([
    [
      "raises the leader epoch of what the broker led, and prefers others that live",
      partitionOf({ isr: [1, 2, 3] }),
      { leader: 2, isr: [1, 2, 3], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    ],
    [
      "raises it also where the same broker is elected again",
      partitionOf({ isr: [1] }),
      { leader: 1, isr: [1], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    ],
    [
      "leaves a follower in the ISR: a crash alone loses nothing that was flushed",
      partitionOf({ isr: [1, 2], leader: 2 }),
      { leader: 2, isr: [1, 2], elr: [], leaderEpoch: 4, partitionEpoch: 7 },
    ],
    [
      "gives a partition without a leader to the broker that is eligible",
      partitionOf({ isr: [], elr: [1], leader: undefined }),
      { leader: 1, isr: [1], elr: [], leaderEpoch: 5, partitionEpoch: 8 },
    ],
    [
      "does not give one to a broker that is not eligible",
      partitionOf({ replicas: [1, 4, 5], isr: [], elr: [4], leader: undefined }),
      { leader: undefined, isr: [], elr: [4], leaderEpoch: 4, partitionEpoch: 7 },
    ],
  ])("%s", (_, before, expected) => {
    const partition = { ...before, minIsr: before.isr.length === 1 ? 1 : before.minIsr };
    const image = imageOf([sessionOf(1), sessionOf(2), sessionOf(3)], [partition]);
    expect(shapeOf(partitionIn(registered(image, registrationOf(1)).image))).toEqual(expected);
  });

  it("takes a replica out of the ISR whose directory was not brought, for the ELR (case 27f)", () => {
    const two = { directoryIds: [directoryOf(1), directoryOf(1, 1)] };
    const image = imageOf([sessionOf(1, two), sessionOf(2)], [partitionOf({ replicas: [1, 2], isr: [1, 2] })]);
    const unmounted = registered(image, registrationOf(1, { directoryIds: [directoryOf(1, 1)] })).image;
    expect(shapeOf(partitionIn(unmounted))).toMatchObject({ leader: 2, isr: [2], elr: [1] });
    // It is not electable before that directory is back, and then it is.
    const lonely = follow(unmounted, registerBroker(unmounted, registrationOf(2), context)).image;
    expect(partitionIn(lonely).leader).toBe(2);
    const mounted = registered(unmounted, registrationOf(1, two)).image;
    expect(shapeOf(partitionIn(mounted))).toMatchObject({ leader: 2, isr: [2], elr: [1] });
  });

  it("commits in the order of D8: old session out, partitions, new session last", () => {
    const image = imageOf([sessionOf(1), sessionOf(2)], [partitionOf({ replicas: [1, 2], isr: [1, 2] })]);
    const decision = registerBroker(image, registrationOf(1), context);
    const kinds = decision.kind === "decided" ? decision.changes.map((change) => change.kind) : [];
    expect(kinds).toEqual(["brokerSession", "partition", "knownBroker", "brokerSession"]);
    expect(decision).toMatchObject({ changes: [{ value: undefined }, {}, {}, { value: { brokerEpoch: 2 } }] });
  });

  it("half committed and repaired by the next controller keeps every invariant (case 27g)", () => {
    const image = imageOf([sessionOf(1), sessionOf(2)], [partitionOf({ replicas: [1, 2], isr: [1, 2] })]);
    const decision = registerBroker(image, registrationOf(1), context);
    if (decision.kind === "refused") throw new Error("refused");
    for (let committed = 0; committed <= decision.changes.length; committed++) {
      const half = applyChanges(image, decision.changes.slice(0, committed)).image;
      const repaired = follow(half, repairPartitions(half, context)).image;
      const { leader, isr } = partitionIn(repaired);
      expect(isr).toContain(leader);
      for (const id of isr) expect(repaired.sessions.has(id)).toBe(true);
      // Whatever was left, the broker registers again and is told a newer broker epoch.
      expect(registered(repaired, registrationOf(1)).answer).toBeGreaterThan(1);
    }
  });

  it("remembers every directory that the broker ever had", () => {
    const image = registered(
      imageOf([]),
      registrationOf(1, { directoryIds: [directoryOf(1), directoryOf(1, 1)] }),
    ).image;
    const later = registered(image, registrationOf(1, { directoryIds: [directoryOf(1, 1), directoryOf(1, 2)] })).image;
    expect(later.knownBrokers.get(brokerId(1))?.directoryIds).toEqual([0, 1, 2].map((n) => directoryOf(1, n)));
  });
});

describe("a session", () => {
  test.each([
    ["lives with this broker epoch", 1, 1, undefined],
    ["lives with another", 1, 2, Reason.STALE_BROKER_EPOCH],
    ["does not live", 2, 1, Reason.BROKER_NOT_REGISTERED],
  ])("that %s", (_, broker, epoch, reason) => {
    const image = imageOf([sessionOf(1)]);
    const problem = sessionProblem(image, { brokerId: brokerId(broker), brokerEpoch: brokerEpoch(epoch) });
    expect(problem?.refusal.reason).toBe(reason);
  });
});

describe("batches", () => {
  const putKnown = (id: number): MetadataChange => ({
    kind: "knownBroker",
    brokerId: brokerId(id),
    value: { brokerId: brokerId(id), brokerEpoch: brokerEpoch(1), directoryIds: [], bootId: "", flushAsync: false },
  });
  const limits = { changesMax: 3, bytesMax: 10 };

  it("keep order and limits, hold each key once, and come to the same as the changes", () => {
    const anyChanges = fc.array(fc.record({ id: fc.integer({ min: 1, max: 6 }), isRemoval: fc.boolean() }));
    fc.assert(
      fc.property(anyChanges, fc.integer({ min: 1, max: 6 }), (given, size) => {
        const changes = given.map(({ id, isRemoval }): MetadataChange => {
          const change = putKnown(id);
          return isRemoval && change.kind === "knownBroker" ? { ...change, value: undefined } : change;
        });
        const batches = splitIntoBatches(changes, limits, () => size);
        let image = emptyImage;
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(limits.changesMax);
          expect(batch.length === 1 || batch.length * size <= limits.bytesMax).toBe(true);
          expect(new Set(batch.map((change) => JSON.stringify(keyOfChange(change)))).size).toBe(batch.length);
          image = applyChanges(image, batch).image;
        }
        expect(image.knownBrokers).toEqual(applyChanges(emptyImage, changes).image.knownBrokers);
      }),
    );
  });

  it("never let a later change of a key take away an earlier one that is in another batch", () => {
    const changes = [1, 2, 3, 1].map(putKnown);
    const ids = splitIntoBatches(changes, { changesMax: 3, bytesMax: 3 }, () => 1).map((batch) =>
      batch.map((change) => (change.kind === "knownBroker" ? change.brokerId : 0)),
    );
    expect(ids).toEqual([[2, 3, 1]]);
    const grown = splitIntoBatches(changes, { changesMax: 9, bytesMax: 3 }, (change) =>
      change === changes[3] ? 2 : 1,
    );
    expect(grown.map((batch) => batch.length)).toEqual([3, 1]);
  });

  it("leave a change that is too large alone to be refused", () => {
    expect(splitIntoBatches([1, 2, 3].map(putKnown), limits, () => 99)).toHaveLength(3);
  });
});
