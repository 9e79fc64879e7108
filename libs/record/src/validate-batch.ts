import { type BatchHeader, noProducerId } from "./batch-header.ts";
import { codecNameOf } from "./codec.ts";
import type { Crc32c } from "./crc32c.ts";
import { attributeBits, fieldAt } from "./layout.ts";

/** Why a leader does not append a batch. Nothing of a refused batch was applied. */
export type BatchRefusal =
  | "batchTooLarge"
  | "unusedAttributeBits"
  | "unknownCodec"
  | "logAppendTimestamp"
  | "transactionalBatch"
  | "controlBatch"
  | "deleteHorizon"
  | "emptyBatch"
  | "recordCountMismatch"
  | "timestampsOutOfOrder"
  | "producerFieldsDisagree"
  | "crcMismatch";

/** Whether a leader may append a batch. */
export type BatchVerdict = { readonly kind: "ok" } | { readonly kind: "refused"; readonly reason: BatchRefusal };

/** What a leader holds a batch against. */
export interface BatchRules {
  readonly crc32c: Crc32c;
  /** Size of the largest batch that is accepted, header and all, in bytes. */
  readonly maxBatchBytes: number;
}

/** Whether the batch's CRC is that of its bytes: what recovery, followers and readers check of every batch (P6). */
export function hasValidCrc(bytes: Uint8Array, header: BatchHeader, crc32c: Crc32c): boolean {
  return header.crc === crcOf(bytes, header, crc32c);
}

/** The CRC that the batch should carry. */
export function crcOf(bytes: Uint8Array, header: BatchHeader, crc32c: Crc32c): number {
  const { position, sizeInBytes } = header;
  return crc32c(bytes.subarray(position + fieldAt.attributes, position + sizeInBytes));
}

/**
 * What a leader checks of a producer's batch before it appends it; `header` was read from `bytes`.
 *
 * The records themselves are not walked, which would cost as much as all the rest of an append: the CRC says that they
 * are what the producer wrote, and `decodeRecords` protects whoever reads them.
 */
export function validateBatch(bytes: Uint8Array, header: BatchHeader, rules: BatchRules): BatchVerdict {
  const reason = refusalOfHeader(header, rules.maxBatchBytes);
  if (reason !== undefined) return { kind: "refused", reason };
  if (!hasValidCrc(bytes, header, rules.crc32c)) return { kind: "refused", reason: "crcMismatch" };
  return { kind: "ok" };
}

function refusalOfHeader(header: BatchHeader, maxBatchBytes: number): BatchRefusal | undefined {
  if (header.sizeInBytes > maxBatchBytes) return "batchTooLarge";
  if ((header.attributes & attributeBits.unused) !== 0) return "unusedAttributeBits";
  if (codecNameOf(header.codecId) === undefined) return "unknownCodec";
  // The leader alone knows when a batch is appended, and whether a log has markers, control records or a cleaner.
  if (header.timestampType === "logAppend") return "logAppendTimestamp";
  if (header.isTransactional) return "transactionalBatch";
  if (header.isControl) return "controlBatch";
  if (header.hasDeleteHorizon) return "deleteHorizon";
  if (header.recordCount === 0) return "emptyBatch";
  if (header.recordCount !== header.lastOffsetDelta + 1) return "recordCountMismatch";
  if (header.maxTimestamp < header.baseTimestamp) return "timestampsOutOfOrder";
  if (!producerFieldsAgree(header)) return "producerFieldsDisagree";
  return undefined;
}

/** With a producer id come an epoch and a sequence, without one neither does. */
function producerFieldsAgree({ producerId, producerEpoch, baseSequence }: BatchHeader): boolean {
  if (producerId === noProducerId) return producerEpoch === -1 && baseSequence === -1;
  return producerId >= 0n && producerEpoch >= 0 && baseSequence >= 0;
}
