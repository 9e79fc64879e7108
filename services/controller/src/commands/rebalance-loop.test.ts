import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  directoryId,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import { applyChanges, emptyImage, type MetadataImage } from "@tidemark/metadata";
import { createDeferred, createManualTime, createSeededRandom } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { createRebalanceLoop } from "./rebalance-loop.ts";
import type { ActiveTerm } from "./role.ts";

const topic = topicId("aaaaaaaa-0000-4000-8000-000000000001");
const disk = directoryId("dddddddd-0000-4000-8000-000000000001");

/** One partition that broker 2 leads though broker 1 is preferred. */
function displacedImage(): MetadataImage {
  const brokers = [1, 2].map(brokerId);
  const sessions = brokers.map((id) => ({
    kind: "brokerSession" as const,
    brokerId: id,
    value: {
      brokerId: id,
      brokerEpoch: brokerEpoch(1),
      incarnationId: "",
      directoryIds: [disk],
      endpoints: [],
      rack: "",
      state: "running" as const,
    },
  }));
  const value = {
    topicId: topic,
    partition: partitionIndex(0),
    replicas: brokers.map((id) => ({ brokerId: id, directoryId: disk })),
    isr: brokers,
    elr: [],
    minIsr: 1,
    leader: brokerId(2),
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: partitionEpoch(3),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
  return applyChanges(emptyImage, [
    ...sessions,
    { kind: "partition", topicId: topic, partition: value.partition, value },
    {
      kind: "topic",
      name: "t",
      value: { name: "t", topicId: topic, partitions: 1, replicationFactor: 2, settings: new Map() },
    },
  ]).image;
}

const termOf = (epoch: number): ActiveTerm => ({
  epoch: controllerEpoch(epoch),
  signal: new AbortController().signal,
});

it("a move that ends after its term leaves the timer of the next term alone", async () => {
  const time = createManualTime();
  const [first, second] = [termOf(1), termOf(2)];
  const role: { term: ActiveTerm | undefined } = { term: first };
  const moves: ReturnType<typeof createDeferred<void>>[] = [];
  const loop = createRebalanceLoop({
    settings: { rebalance: { intervalMs: 1000, imbalancePercentageMax: 10 } },
    role,
    runtime: { ...time, random: createSeededRandom(1) },
    follower: { image: displacedImage() },
    queue: {
      submitOwn: () => {
        const move = createDeferred();
        moves.push(move);
        return move.promise;
      },
    },
  } as unknown as Parameters<typeof createRebalanceLoop>[0]);
  loop.begin(first);
  await time.advance(1000);
  expect(moves).toHaveLength(1);
  loop.end();
  role.term = second;
  loop.begin(second);
  moves[0]?.reject(new Error("not the active controller"));
  await time.advance(1000);
  expect(moves).toHaveLength(2);
});
