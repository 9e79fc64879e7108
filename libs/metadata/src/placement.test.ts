import { brokerId, partitionIndex } from "@tidemark/ids";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Draw } from "./decision.ts";
import type { BrokerSession, Partition, Replica } from "./model.ts";
import { placePartitions } from "./placement.ts";
import { directoryOf, idOf, partitionOf, sessionOf } from "./testing/world.ts";

/** Draws that follow from a seed. */
function drawFrom(seed: number): Draw {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const brokersOf = (count: number, rackOf: (id: number) => string = () => ""): readonly BrokerSession[] =>
  Array.from({ length: count }, (_, id) => sessionOf(id, { rack: rackOf(id) }));

function place(options: {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly brokers: readonly BrokerSession[];
  readonly seed?: number;
  readonly own?: readonly Partition[];
  readonly all?: readonly Partition[];
}) {
  const { seed = 1, own = [], all = own, ...rest } = options;
  return placePartitions({ ...rest, ownPartitions: own, allPartitions: all, draw: drawFrom(seed) });
}

function spreadOf(counts: Map<number, number>, brokers: readonly BrokerSession[]): number {
  const values = brokers.map((broker) => counts.get(broker.brokerId) ?? 0);
  return Math.max(...values) - Math.min(...values);
}

function countBy<Item>(items: readonly Item[], key: (item: Item) => number): Map<number, number> {
  const counts = new Map<number, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

const replicaCounts = (placed: readonly (readonly Replica[])[]) =>
  countBy(placed.flat(), (replica) => replica.brokerId);
const leaderCounts = (placed: readonly (readonly Replica[])[]) => countBy(placed, (set) => set[0]?.brokerId ?? -1);

const anyCase = fc
  .record({
    brokers: fc.integer({ min: 1, max: 9 }),
    factor: fc.integer({ min: 1, max: 9 }),
    partitions: fc.integer({ min: 1, max: 40 }),
    seed: fc.nat(),
  })
  .map(({ factor, ...rest }) => ({ ...rest, factor: Math.min(factor, rest.brokers) }));

describe("placement", () => {
  it("gives each partition its replicas on different brokers, each in a directory of its broker", () => {
    fc.assert(
      fc.property(anyCase, ({ brokers, factor, partitions, seed }) => {
        const placed = place({ partitions, replicationFactor: factor, brokers: brokersOf(brokers), seed });
        expect(placed).toHaveLength(partitions);
        for (const set of placed) {
          expect(new Set(set.map((replica) => replica.brokerId)).size).toBe(factor);
          for (const { brokerId: id, directoryId } of set) expect(directoryId).toBe(directoryOf(id));
        }
      }),
    );
  });

  it("gives every broker as many replicas and as many leaderships as any other, give or take one", () => {
    fc.assert(
      fc.property(anyCase, ({ brokers: count, factor, partitions, seed }) => {
        const brokers = brokersOf(count);
        const placed = place({ partitions, replicationFactor: factor, brokers, seed });
        expect(spreadOf(replicaCounts(placed), brokers)).toBeLessThanOrEqual(1);
        expect(spreadOf(leaderCounts(placed), brokers)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });

  it("spreads each partition over as many racks as there are", () => {
    fc.assert(
      fc.property(anyCase, fc.integer({ min: 1, max: 4 }), ({ brokers: count, factor, partitions, seed }, racks) => {
        const brokers = brokersOf(count, (id) => `rack-${id % racks}`);
        const rackOf = new Map(brokers.map((broker) => [broker.brokerId, broker.rack]));
        const there = new Set(rackOf.values()).size;
        for (const set of place({ partitions, replicationFactor: factor, brokers, seed })) {
          expect(new Set(set.map((replica) => rackOf.get(replica.brokerId))).size).toBe(Math.min(factor, there));
        }
      }),
    );
  });

  it("stays even over brokers where racks have equal numbers of them", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 30 }),
        fc.nat(),
        (size, partitions, seed) => {
          const brokers = brokersOf(size * 3, (id) => `rack-${id % 3}`);
          const placed = place({ partitions, replicationFactor: 3, brokers, seed });
          expect(spreadOf(replicaCounts(placed), brokers)).toBeLessThanOrEqual(1);
          expect(spreadOf(leaderCounts(placed), brokers)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  it("keeps a topic even when partitions are added, on brokers that came later too", () => {
    const few = brokersOf(2);
    const own = place({ partitions: 4, replicationFactor: 1, brokers: few }).map((replicas, index) => ({
      ...partitionOf({ partition: partitionIndex(index) }),
      replicas,
    }));
    const brokers = brokersOf(4);
    const added = place({ partitions: 4, replicationFactor: 1, brokers, own });
    expect(leaderCounts([...own.map((each) => each.replicas), ...added])).toEqual(
      new Map([0, 1, 2, 3].map((id) => [id, 2])),
    );
  });

  it("puts topics of one partition where the cluster holds least", () => {
    const brokers = brokersOf(3);
    const all: Partition[] = [];
    for (let number = 0; number < 9; number++) {
      const [replicas] = place({ partitions: 1, replicationFactor: 1, brokers, own: [], all, seed: number });
      if (replicas !== undefined) all.push({ ...partitionOf({ topicId: idOf(number) }), replicas });
    }
    expect([...replicaCounts(all.map((each) => each.replicas)).values()]).toEqual([3, 3, 3]);
  });

  it("fills the directories of a broker evenly", () => {
    const directoryIds = [directoryOf(1), directoryOf(1, 1)];
    const placed = place({ partitions: 6, replicationFactor: 1, brokers: [sessionOf(1, { directoryIds })] });
    const counts = new Map<string | undefined, number>();
    for (const { directoryId } of placed.flat()) counts.set(directoryId, (counts.get(directoryId) ?? 0) + 1);
    expect([...counts.values()]).toEqual([3, 3]);
  });

  it("is the same from the same draws", () => {
    const brokers = brokersOf(5);
    const once = () => place({ partitions: 12, replicationFactor: 3, brokers, seed: 42 });
    expect(once()).toEqual(once());
    expect(brokers.map((broker) => broker.brokerId)).toContain(brokerId(0));
  });
});
