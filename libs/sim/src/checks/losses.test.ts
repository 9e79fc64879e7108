import { applyChanges, emptyImage, type MetadataChange, type Receipt } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { createLossWatch } from "./losses.ts";

const topicId = "00000000-0000-4000-8000-000000000001";

/** Of an election of a broker whose log ended there. */
function receiptOf(leaderEpoch: number, leader: number, logEnd: bigint, cuts: Receipt["cuts"] = []): Receipt {
  const positions = [{ brokerId: leader, lastLeaderEpoch: leaderEpoch - 2, logStart: 0n, logEnd }];
  const election = { topicId, partition: 0, leaderEpoch, leader, commanded: false, timeMs: 0 };
  return { ...election, positions, cuts, awaited: [] } as unknown as Receipt;
}

/** What may be lost where these receipts took each other's place. */
function watchOf(...receipts: readonly Receipt[]) {
  const watch = createLossWatch(["events"]);
  const topic = { name: "events", topicId, partitions: 1, replicationFactor: 2, settings: new Map() };
  const partition = {
    topicId,
    partition: 0,
    replicas: [],
    isr: [1],
    elr: [],
    leader: 1,
    leaderEpoch: 9,
    partitionEpoch: 9,
  };
  for (const value of receipts) {
    const changes = [
      { kind: "topic", name: "events", value: topic },
      { kind: "partition", topicId, partition: 0, value: partition },
      { kind: "receipt", topicId, partition: 0, value },
    ];
    watch.observe(applyChanges(emptyImage, changes as unknown as readonly MetadataChange[]).image);
  }
  return watch;
}

test("what a replica cut by an earlier receipt stays cut when the next election has another one", () => {
  const cuts = [{ brokerId: 1, firstOffset: 5n, logEnd: 7n }] as unknown as Receipt["cuts"];
  const watch = watchOf(receiptOf(4, 2, 5n, cuts), receiptOf(6, 3, 9n));
  expect([4n, 5n, 6n, 7n].map((offset) => watch.isCut("events", 0, offset))).toEqual([false, true, true, false]);
  expect([4n, 6n, 7n].map((offset) => watch.isCutFrom("events", 0, offset))).toEqual([true, true, false]);
});

test("a consumer may be told of a cut by a leader that was gone before anybody cut anything (seed 1210107)", () => {
  const watch = watchOf(receiptOf(4, 2, 524n), receiptOf(6, 3, 558n));
  expect([523n, 524n].map((offset) => watch.mayBeToldCut("events", 0, offset))).toEqual([false, true]);
  expect(watch.isCut("events", 0, 524n)).toBe(false);
});
