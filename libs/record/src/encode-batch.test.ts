import { describe, expect, it, test } from "vitest";
import { createBatchBuilder } from "./batch-builder.ts";
import type { BatchHeader } from "./batch-header.ts";
import { readBatchHeader } from "./batch-header.ts";
import type { Codec } from "./codec.ts";
import { portableCrc32c as crc32c } from "./crc32c.ts";
import { encodeBatch } from "./encode-batch.ts";
import type { ProducedRecord } from "./record.ts";
import { fromHex, type KafkaVector, kafkaVectors, recordsOf, toHex } from "./testing/vectors.ts";

/** What a producer can write: neither transactions nor control records, times of its own, and something in it. */
const producible = kafkaVectors.filter(
  ({ header }) => header.timestampType === "CreateTime" && !header.isTransactional && header.recordCount > 0,
);

function sealOf({ header }: KafkaVector) {
  const idempotent = {
    producer: { id: BigInt(header.producerId), epoch: header.producerEpoch, sequence: header.baseSequence },
  };
  return {
    crc32c,
    baseOffset: BigInt(header.baseOffset) as BatchHeader["baseOffset"],
    leaderEpoch: header.leaderEpoch as BatchHeader["leaderEpoch"],
    ...(header.producerId === "-1" ? {} : idempotent),
  };
}

const record = (value: Uint8Array, timestamp = 0n): ProducedRecord => ({ timestamp, key: null, value, headers: [] });
const zeros = (length: number) => record(new Uint8Array(length));

/** Pretends to compress to a given size. */
function codecOfSize(size: number): Codec {
  return { name: "zstd", compress: () => new Uint8Array(size), decompress: () => ({ kind: "corrupt" }) };
}

describe("encoding a batch", () => {
  test("covers every vector that a producer could write", () => {
    expect(producible.length).toBe(10);
  });

  test.each(producible.map((vector) => [vector.name, vector] as const))(
    "writes Kafka's very bytes: %s",
    (_, vector) => {
      expect(toHex(encodeBatch(recordsOf(vector), sealOf(vector)))).toBe(vector.hex);
    },
  );

  it("writes the documented layout, byte by byte", () => {
    const batch = encodeBatch(
      [
        {
          timestamp: 256n,
          key: fromHex("6b"),
          value: fromHex("76 76"),
          headers: [{ key: fromHex("68"), value: null }],
        },
      ],
      { crc32c, producer: { id: 5n, epoch: 2, sequence: 9 } },
    );
    const fromAttributesOn = `
      0000 00000000 0000000000000100 0000000000000100
      0000000000000005 0002 00000009 00000001
      18 00 00 00 02 6b 04 7676 02 02 68 01`;
    const crc = crc32c(fromHex(fromAttributesOn)).toString(16).padStart(8, "0");
    expect(toHex(batch)).toBe(toHex(fromHex(`0000000000000000 0000003e ffffffff 02 ${crc} ${fromAttributesOn}`)));
  });

  it("allocates once, with little to spare", () => {
    const lengths = [0, 1, 63, 64, 200, 3000, 900_000];
    const batch = encodeBatch(lengths.map(zeros), { crc32c });
    expect(batch.buffer.byteLength - batch.byteLength).toBeLessThan(lengths.length * 19);
  });

  test.each([
    ["leaves records as they are when compression saves nothing", 209, 0],
    ["leaves records as they are when they would grow more than a hundredfold at a reader", 2, 0],
    ["compresses within these bounds", 3, 4],
  ])("%s", (_, size, codecId) => {
    const result = readBatchHeader(encodeBatch([zeros(200)], { crc32c, codec: codecOfSize(size) }));
    expect(result).toMatchObject({ kind: "ok", header: { codecId } });
  });

  test.each([
    ["no record at all", () => encodeBatch([], { crc32c }), "one record at least"],
    [
      "a time before the first one",
      () => encodeBatch([record(new Uint8Array(), -2n)], { crc32c }),
      "Not a timestamp: -2",
    ],
    [
      "a time beyond 64 bits",
      () => encodeBatch([record(new Uint8Array(), 2n ** 63n)], { crc32c }),
      "Not a timestamp: 9223372036854775808",
    ],
  ])("refuses %s", (_, encode, message) => {
    expect(encode).toThrow(message);
  });
});

describe("a producer", () => {
  const fits = { id: 2n ** 63n - 1n, epoch: 32767, sequence: 2 ** 31 - 1 };
  const encode = (producer: typeof fits) => encodeBatch([zeros(1)], { crc32c, producer });

  test.each([
    { id: -1n },
    { id: 2n ** 63n },
    { epoch: -1 },
    { epoch: 32768 },
    { sequence: -1 },
    { sequence: 2 ** 31 },
    { sequence: 0.5 },
  ])("is refused when its fields cannot hold it: %o", (change) => {
    expect(() => encode({ ...fits, ...change })).toThrow("Not a producer");
  });

  it("may have the largest of each", () => {
    expect(readBatchHeader(encode(fits))).toMatchObject({
      kind: "ok",
      header: { producerId: fits.id, producerEpoch: fits.epoch, baseSequence: fits.sequence },
    });
  });
});

describe("a batch builder", () => {
  it("tells its size after each record, before it is appended and once it is built", () => {
    const builder = createBatchBuilder(0);
    expect(builder.sizeInBytes()).toBe(61);
    for (const [index, length] of [0, 1, 63, 64, 9000].entries()) {
      const foretold = builder.sizeWith(zeros(length));
      expect(builder.append(zeros(length))).toBe(foretold);
      expect(builder.sizeInBytes()).toBe(foretold);
      expect(builder.recordCount()).toBe(index + 1);
    }
    expect(builder.build({ crc32c }).length).toBe(builder.sizeInBytes());
  });

  it("writes what encodeBatch writes, however often it had to grow", () => {
    const records = [zeros(10), zeros(2000), record(fromHex("00ff"), 77n), zeros(70_000)];
    const builder = createBatchBuilder(0);
    for (const each of records) builder.append(each);
    expect(toHex(builder.build({ crc32c }))).toBe(toHex(encodeBatch(records, { crc32c })));
  });

  it("can be built again for another producer epoch, and leaves the first batch alone", () => {
    const builder = createBatchBuilder();
    builder.append(zeros(3));
    const before = { crc32c, producer: { id: 1n, epoch: 0, sequence: 5 } };
    const after = { crc32c, producer: { id: 1n, epoch: 1, sequence: 0 } };
    const sent = builder.build(before);
    expect(toHex(builder.build(after))).toBe(toHex(encodeBatch([zeros(3)], after)));
    expect(toHex(sent)).toBe(toHex(encodeBatch([zeros(3)], before)));
  });

  it("takes no more records once it was built", () => {
    const builder = createBatchBuilder();
    builder.append(zeros(3));
    builder.build({ crc32c });
    expect(() => builder.append(zeros(3))).toThrow("takes no more records");
  });
});
