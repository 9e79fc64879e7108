import { describe, expect, it, test } from "vitest";
import type { HeaderDamage } from "./batch-header.ts";
import { portableCrc32c } from "./crc32c.ts";
import type { DecodeFailure } from "./decode-records.ts";
import { encodeBatch } from "./encode-batch.ts";
import { explainDecodeFailure, explainRefusal, explainStop } from "./explain.ts";
import { iterateBatches } from "./iterate-batches.ts";
import type { BatchRefusal } from "./validate-batch.ts";

const refusals: Readonly<Record<BatchRefusal, true>> = {
  batchTooLarge: true,
  unusedAttributeBits: true,
  unknownCodec: true,
  logAppendTimestamp: true,
  transactionalBatch: true,
  controlBatch: true,
  deleteHorizon: true,
  emptyBatch: true,
  recordCountMismatch: true,
  timestampsOutOfOrder: true,
  producerFieldsDisagree: true,
  crcMismatch: true,
};
const failures: Readonly<Record<DecodeFailure, true>> = {
  unsupportedCodec: true,
  decompressedTooLarge: true,
  corruptCompression: true,
  offsetDeltas: true,
  trailingBytes: true,
  recordLength: true,
  fieldLength: true,
  headerCount: true,
  truncated: true,
  malformedVarint: true,
};
const damages: Readonly<Record<HeaderDamage, true>> = {
  lengthBelowHeader: true,
  unknownMagic: true,
  negativeBaseOffset: true,
  negativeLastOffsetDelta: true,
  offsetOverflow: true,
  leaderEpochBelowNone: true,
  negativeRecordCount: true,
  moreRecordsThanOffsets: true,
  moreRecordsThanBytes: true,
};

const texts = {
  refusals: Object.keys(refusals).map((each) => explainRefusal(each as BatchRefusal)),
  failures: Object.keys(failures).map((each) => explainDecodeFailure(each as DecodeFailure)),
  damages: Object.keys(damages).map((each) =>
    explainStop({ kind: "malformed", position: 7, reason: each as HeaderDamage }, 100),
  ),
};

describe("what is wrong with a batch", () => {
  test.each(Object.entries(texts))("is said in words of its own for each of the %s", (_, all) => {
    expect(new Set(all).size).toBe(all.length);
  });

  test.each(Object.entries(texts))("is said without identifiers of the code for the %s", (_, all) => {
    for (const text of all) expect(text).not.toMatch(/[a-z][A-Z]/);
  });
});

describe("where whole batches end", () => {
  const value = new Uint8Array(10);
  const batch = encodeBatch([{ timestamp: 1n, key: null, value, headers: [] }], { crc32c: portableCrc32c });
  const stopOf = (bytes: Uint8Array): string => {
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok" && step.kind !== "end") return explainStop(step, bytes.length);
    }
    return "at the end";
  };

  it("is told of bytes behind a batch that are too few for another", () => {
    const trailed = new Uint8Array([...batch, ...new Uint8Array(8)]);
    expect(stopOf(trailed)).toBe(`the 8 bytes from byte ${batch.length} on are fewer than the 61 of a batch's header`);
  });

  it("is told of a batch that breaks off", () => {
    expect(stopOf(batch.subarray(0, 65))).toBe(
      `the batch at byte 0 has ${batch.length} bytes by its header, and 65 of them are there`,
    );
  });
});
