import { create } from "@bufbuild/protobuf";
import {
  FetchPartitionSchema,
  FetchRequestSchema,
  Format,
  ProduceRequestSchema,
  RecordSchema,
} from "@tidemark/proto/log/v1";
import { expect, it } from "vitest";
import { callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";
import { resolveTarget } from "./fetch-target.ts";
import { readPartitions } from "./read-partitions.ts";

const limits = { bytes: 2 ** 20, records: 1000, codecs: {}, controllerAgeMs: 0 };

async function withRecords(partitions: number, records: number, size: number) {
  const bench = await createBrokerBench(imageOf([{ name: "t", partitions }]));
  const all = Array.from({ length: records }, () =>
    create(RecordSchema, { valueForm: { case: "text", value: "v".repeat(size) } }),
  );
  for (let partition = 0; partition < partitions; partition++) {
    await bench.produce(create(ProduceRequestSchema, { topic: "t", partition, records: all }), callContext());
  }
  const request = create(FetchRequestSchema, { topic: "t" });
  const targets = await Promise.all(
    Array.from({ length: partitions }, (_, partition) =>
      resolveTarget(bench.table, request, { asked: create(FetchPartitionSchema, { partition }), deadlineMs: 0 }),
    ),
  );
  return targets;
}

it("decoded records of all partitions together stay within the limit of the answer, each with its share", async () => {
  const targets = await withRecords(4, 10, 960);
  const round = await readPartitions(targets, { ...limits, format: Format.TEXT, decodedBytesMax: 8000 });
  expect(round.partitions.map(({ records }) => records.length)).toEqual([2, 2, 2, 2]);
  // One record is handed out whatever its size is, and then no more.
  const few = await readPartitions(targets, { ...limits, format: Format.TEXT, decodedBytesMax: 10 });
  expect(few.partitions.map(({ records }) => records.length)).toEqual([1, 0, 0, 0]);
});

it("counts nothing of a partition that fails when a part of it was read", async () => {
  const [target] = await withRecords(1, 10, 10);
  if (target?.kind !== "read") throw new Error("It cannot be read");
  let reads = 0;
  const read = () => {
    if (++reads > 1) throw new Error("not what was written");
    return Promise.resolve({ bytes: new Uint8Array(10), nextOffset: 1n });
  };
  const partition = Object.create(target.partition, { log: { value: { read } } }) as typeof target.partition;
  const round = await readPartitions([{ ...target, partition }], {
    ...limits,
    format: Format.BATCHES,
    decodedBytesMax: 8000,
  });
  expect(reads).toBe(2);
  expect(round).toMatchObject({ batches: [], bytes: 0, partitions: [{ batches: new Uint8Array() }] });
  expect(round.failure).toBeDefined();
});
