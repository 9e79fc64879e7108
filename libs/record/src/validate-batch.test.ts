import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type BatchHeader, readBatchHeader } from "./batch-header.ts";
import { portableCrc32c as crc32c } from "./crc32c.ts";
import { viewOf } from "./layout.ts";
import { fromHex, kafkaVector, kafkaVectors } from "./testing/vectors.ts";
import { type BatchVerdict, hasValidCrc, validateBatch } from "./validate-batch.ts";

fc.configureGlobal({ seed: 1 });

const rules = { crc32c, maxBatchBytes: 1000 };

function headerIn(bytes: Uint8Array): BatchHeader {
  const result = readBatchHeader(bytes);
  if (result.kind !== "ok") throw new Error(`Not a batch: ${result.kind}`);
  return result.header;
}

const verdictOn = (bytes: Uint8Array, limits = rules): BatchVerdict => validateBatch(bytes, headerIn(bytes), limits);

/** A batch of Kafka's changed in one place, its CRC right again. */
function resealed(name: string, change: (view: DataView) => void): Uint8Array {
  const bytes = fromHex(kafkaVector(name).hex);
  change(viewOf(bytes));
  viewOf(bytes).setUint32(17, crc32c(bytes.subarray(21)));
  return bytes;
}

const plain = "one record with key and value";
const idempotent = "an idempotent producer, its sequence past the wrap";

describe("validating a batch", () => {
  test.each(kafkaVectors.map((vector) => [vector.name, fromHex(vector.hex)] as const))(
    "finds Kafka's CRC right: %s",
    (_, bytes) => {
      expect(hasValidCrc(bytes, headerIn(bytes), crc32c)).toBe(true);
    },
  );

  test.each([
    plain,
    "headers, one key twice, null and empty values",
    "times far from the first one",
    "no times",
    idempotent,
  ])("accepts what a producer sends: %s", (name) => {
    expect(verdictOn(fromHex(kafkaVector(name).hex))).toEqual({ kind: "ok" });
  });

  test.each([
    { reason: "unusedAttributeBits", name: plain, change: (view: DataView) => view.setUint16(21, 1 << 7) },
    { reason: "unusedAttributeBits", name: plain, change: (view: DataView) => view.setUint16(21, 1 << 15) },
    { reason: "unknownCodec", name: plain, change: (view: DataView) => view.setUint16(21, 5) },
    { reason: "deleteHorizon", name: plain, change: (view: DataView) => view.setUint16(21, 1 << 6) },
    { reason: "recordCountMismatch", name: plain, change: (view: DataView) => view.setInt32(23, 1) },
    {
      reason: "timestampsOutOfOrder",
      name: plain,
      change: (view: DataView) => view.setBigInt64(35, 1_699_999_999_999n),
    },
    { reason: "producerFieldsDisagree", name: plain, change: (view: DataView) => view.setInt16(51, 0) },
    { reason: "producerFieldsDisagree", name: plain, change: (view: DataView) => view.setInt32(53, 0) },
    { reason: "producerFieldsDisagree", name: plain, change: (view: DataView) => view.setBigInt64(43, 7n) },
    { reason: "producerFieldsDisagree", name: idempotent, change: (view: DataView) => view.setInt16(51, -1) },
    { reason: "producerFieldsDisagree", name: idempotent, change: (view: DataView) => view.setInt32(53, -1) },
    { reason: "producerFieldsDisagree", name: idempotent, change: (view: DataView) => view.setBigInt64(43, -2n) },
  ])("refuses with $reason although the CRC is right", ({ reason, name, change }) => {
    expect(verdictOn(resealed(name, change))).toEqual({ kind: "refused", reason });
  });

  test.each([
    ["logAppendTimestamp", "log append time"],
    ["transactionalBatch", "a transactional batch"],
    ["emptyBatch", "an empty batch that compaction left"],
  ])("refuses with %s what only a log may hold: %s", (reason, name) => {
    expect(verdictOn(fromHex(kafkaVector(name).hex))).toEqual({ kind: "refused", reason });
  });

  it("refuses control records outside a transaction too", () => {
    const bytes = resealed("a control batch", (view) => view.setUint16(21, 1 << 5));
    expect(verdictOn(bytes)).toEqual({ kind: "refused", reason: "controlBatch" });
  });

  it("accepts a batch of the largest size and refuses one byte more", () => {
    const bytes = fromHex(kafkaVector(plain).hex);
    expect(verdictOn(bytes, { crc32c, maxBatchBytes: bytes.length })).toEqual({ kind: "ok" });
    const refused = verdictOn(bytes, { crc32c, maxBatchBytes: bytes.length - 1 });
    expect(refused).toEqual({ kind: "refused", reason: "batchTooLarge" });
  });

  it("refuses a batch whose CRC is not that of its bytes", () => {
    const bytes = fromHex(kafkaVector(plain).hex);
    bytes[bytes.length - 2]! ^= 1;
    expect(verdictOn(bytes)).toEqual({ kind: "refused", reason: "crcMismatch" });
  });

  it("finds any one flipped bit from the CRC on, and none before it", () => {
    const bytes = fromHex(kafkaVector(plain).hex);
    const header = headerIn(bytes);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const damaged = bytes.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        const crc = viewOf(damaged).getUint32(17);
        expect(hasValidCrc(damaged, { ...header, crc }, crc32c)).toBe(bit < 17 * 8);
      }),
      { numRuns: 1000 },
    );
  });
});
