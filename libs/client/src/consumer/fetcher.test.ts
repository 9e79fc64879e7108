import { crc32c } from "@tidemark/compression";
import { encodeBatch } from "@tidemark/record";
import { expect, test } from "vitest";
import { createFakeCluster } from "../testing/fake-cluster.ts";
import { createFetcher } from "./fetcher.ts";
import type { PartitionState } from "./partition-state.ts";

const valueBytes = 4000;

const stateOf = (partition: number): PartitionState => ({
  partition,
  offset: 0n,
  given: 0n,
  end: undefined,
  leaderEpoch: undefined,
  lastReadLeaderEpoch: undefined,
  jumps: 0,
  failing: undefined,
});

test("an answer that becomes large when it is decompressed is read in parts, all its partitions together, each in its turn", async () => {
  const cluster = await createFakeCluster(3);
  const record = { timestamp: 0n, key: null, value: new Uint8Array(valueBytes), headers: [] };
  const states = [0, 1, 2].map(stateOf);
  for (const { partition } of states) {
    for (let batch = 0; batch < 10; batch++) cluster.append(partition, encodeBatch([record], { crc32c }));
  }
  const fetcher = createFetcher(cluster.connection, {
    topic: "t",
    topicId: "id",
    fetchBytesMax: 500,
    maxWaitMs: 0,
    retryTimeoutMs: 1000,
    recover: () => false,
  });
  const given = states.map((): bigint[] => []);
  const counts: number[] = [];
  for (let turn = 0; turn < 10; turn++) {
    const fetched = await fetcher.fetch("gateway:1", states, new AbortController().signal);
    for (const { batch } of fetched) given[batch.partition]?.push(...batch.records.map(({ offset }) => offset));
    counts.push(fetched.reduce((sum, { batch }) => sum + batch.records.length, 0));
    if (turn === 2) expect(given.map((offsets) => offsets.length)).toEqual([3, 3, 3]);
  }
  // 16 times 500 bytes, and the batch that they end in.
  expect(Math.max(...counts) * valueBytes).toBe(12_000);
  expect(given).toEqual(given.map(() => Array.from({ length: 10 }, (_, offset) => BigInt(offset))));
});
