import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type FetchedPartitionSchema,
  FetchPartitionSchema,
  FetchRequestSchema,
  FetchedPartitionSchema as fetchedSchema,
  Position,
} from "@tidemark/proto/log/v1";
import { encodeBatch, portableCrc32c } from "@tidemark/record";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Fetched, fairShares, mergeFetched } from "./merge-fetched.ts";

const request = create(FetchRequestSchema, { topic: "t", maxRecords: 3 });
const wide = { records: 1000, bytes: 2 ** 20 };

function fetched(
  partition: number,
  answer: Extract<MessageInitShape<typeof FetchedPartitionSchema>, { readonly $typeName?: never }>,
  start: MessageInitShape<typeof FetchPartitionSchema>["start"] = { case: "offset", value: 0n },
): Fetched {
  return {
    asked: create(FetchPartitionSchema, { partition, start }),
    answer: create(fetchedSchema, { ...answer, partition }),
  };
}

function records(from: number, count: number) {
  return {
    records: Array.from({ length: count }, (_, index) => ({ offset: BigInt(from + index) })),
    nextOffset: BigInt(from + count),
  };
}

/** A batch of one record with so many bytes in it. */
function batch(size: number): Uint8Array {
  const record = { timestamp: 0n, key: null, value: new Uint8Array(size), headers: [] };
  return encodeBatch([record], { crc32c: portableCrc32c });
}

describe("an answer out of several", () => {
  it("keeps the order in which partitions were asked for", () => {
    const merged = mergeFetched(request, [fetched(2, records(0, 1)), fetched(0, records(0, 1))], wide);
    expect(merged.partitions.map(({ partition }) => partition)).toEqual([2, 0]);
  });

  it("splits a limit of records fairly and reads the rest again from its offset", () => {
    const merged = mergeFetched(request, [fetched(0, records(5, 9)), fetched(1, records(0, 1))], {
      ...wide,
      records: 4,
    });
    expect(merged.partitions.map((each) => each.records.length)).toEqual([3, 1]);
    expect(merged.next?.partitions.map((each) => each.start.value)).toEqual([8n, 1n]);
  });

  it("asks first next time for a partition to which its leader gave nothing though it has more", () => {
    const starved = fetched(1, { nextOffset: 0n, highWatermark: 1n });
    const { next } = mergeFetched(request, [fetched(0, records(0, 1)), starved, fetched(2, { nextOffset: 0n })], wide);
    expect(next?.partitions.map(({ partition }) => partition)).toEqual([1, 0, 2]);
  });

  it("hands out one partition even above the limit of bytes, and lets the others come first next time", () => {
    const large = { batches: batch(600), nextOffset: 1n };
    const merged = mergeFetched(request, [fetched(0, large), fetched(1, large), fetched(2, { nextOffset: 0n })], {
      ...wide,
      bytes: 500,
    });
    expect(merged.partitions.map((each) => each.batches.length > 0)).toEqual([true, false, false]);
    expect(merged.next?.partitions.map(({ partition, start }) => [partition, start.value])).toEqual([
      [1, 0n],
      [0, 1n],
      [2, 0n],
    ]);
  });

  it("begins again at the log start where what gave way was asked for by name", () => {
    const earliest = { case: "position", value: Position.EARLIEST } as const;
    const large = { batches: batch(600), nextOffset: 1n, logStart: 7n };
    const merged = mergeFetched(request, [fetched(0, large), fetched(1, large, earliest)], { ...wide, bytes: 500 });
    expect(merged.partitions[1]?.nextOffset).toBe(7n);
  });

  it("asks again where it was for a partition that failed", () => {
    const failed = { error: { reason: Reason.NOT_LEADER }, message: "elsewhere" };
    const merged = mergeFetched(request, [fetched(0, failed, { case: "offset", value: 42n })], wide);
    expect(merged.next?.partitions[0]?.start.value).toBe(42n);
  });

  it("leaves everything else of the request as it was", () => {
    const merged = mergeFetched(request, [fetched(0, records(0, 1))], wide);
    expect(merged.next).toMatchObject({ topic: "t", maxRecords: 3 });
  });
});

describe("fair shares", () => {
  const counts = fc.array(fc.nat(50), { minLength: 1, maxLength: 12 });

  it("hand out as much as there is, up to the total, and nobody more than he has", () => {
    fc.assert(
      fc.property(counts, fc.nat(200), (given, total) => {
        const shares = fairShares(given, total);
        const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
        expect(sum(shares)).toBe(Math.min(sum(given), total));
        expect(shares.every((share, index) => share >= 0 && share <= (given[index] ?? 0))).toBe(true);
      }),
      { seed: 7 },
    );
  });

  it("leave nobody with less than another while he has more, but for the odd one", () => {
    fc.assert(
      fc.property(counts, fc.nat(200), (given, total) => {
        const shares = fairShares(given, total);
        const most = Math.max(...shares);
        expect(shares.every((share, index) => share === given[index] || share >= most - 1)).toBe(true);
      }),
      { seed: 7 },
    );
  });
});
