import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { readBatchHeader } from "./batch-header.ts";
import { portableCrc32c as crc32c } from "./crc32c.ts";
import { stampBatch, stampLogAppendTime } from "./stamp-batch.ts";
import { fromHex, kafkaVector, toHex } from "./testing/vectors.ts";
import { hasValidCrc } from "./validate-batch.ts";

const vector = kafkaVector("stamped by the leader with log append time");
const before = fromHex(vector.before ?? "");
const stamp = { baseOffset: 100n as Offset, leaderEpoch: 9 as LeaderEpoch };

describe("stamping a batch", () => {
  it("writes base offset and leader epoch where the batch begins, and leaves the CRC right", () => {
    const bytes = new Uint8Array(before.length + 20);
    bytes.set(before, 7);
    stampBatch(bytes, 7, stamp);
    const result = readBatchHeader(bytes, 7);
    expect(result).toMatchObject({ kind: "ok", header: { baseOffset: 100n, leaderEpoch: 9 } });
    if (result.kind === "ok") expect(hasValidCrc(bytes, result.header, crc32c)).toBe(true);
    expect(toHex(bytes.subarray(7 + 16, 7 + before.length))).toBe(toHex(before.subarray(16)));
    expect([...bytes.subarray(0, 7), ...bytes.subarray(7 + before.length)].every((byte) => byte === 0)).toBe(true);
  });

  it("writes an offset beyond 2^53 exactly", () => {
    const bytes = before.slice();
    stampBatch(bytes, 0, { ...stamp, baseOffset: (2n ** 53n + 1n) as Offset });
    expect(readBatchHeader(bytes)).toMatchObject({ header: { baseOffset: 2n ** 53n + 1n } });
  });

  it("gives the append time to all records with the very bytes that Kafka writes", () => {
    const bytes = before.slice();
    stampBatch(bytes, 0, stamp);
    const result = readBatchHeader(bytes);
    if (result.kind !== "ok") throw new Error(result.kind);
    stampLogAppendTime(bytes, result.header, { timestamp: BigInt(vector.header.maxTimestamp), crc32c });
    expect(toHex(bytes)).toBe(vector.hex);
  });
});
