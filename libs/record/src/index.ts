export { type BatchBuilder, type BatchProducer, type BatchSeal, createBatchBuilder } from "./batch-builder.ts";
export {
  type BatchHeader,
  type HeaderDamage,
  type HeaderResult,
  lastOffsetOf,
  nextOffsetOf,
  noProducerId,
  noTimestamp,
  readBatchHeader,
} from "./batch-header.ts";
export {
  type Codec,
  type CodecName,
  type Codecs,
  codecIdOf,
  codecNameOf,
  codecNames,
  type Decompressed,
  decompressedBytesMax,
  decompressionRatioMax,
} from "./codec.ts";
export { type Crc32c, portableCrc32c } from "./crc32c.ts";
export { type DecodedBatch, type DecodeFailure, type DecodeRules, decodeRecords } from "./decode-records.ts";
export { type EmptyRange, encodeEmptyBatch } from "./empty-batch.ts";
export { encodeBatch } from "./encode-batch.ts";
export { explainDecodeFailure, explainRefusal, explainStop } from "./explain.ts";
export { type BatchStep, iterateBatches } from "./iterate-batches.ts";
export { batchHeaderBytes } from "./layout.ts";
export type { ProducedRecord, RecordHeader, StoredRecord } from "./record.ts";
export { lastSequenceOf, sequenceAfter } from "./sequence.ts";
export { type LeaderStamp, stampBatch, stampLogAppendTime } from "./stamp-batch.ts";
export { type BatchRefusal, type BatchRules, type BatchVerdict, hasValidCrc, validateBatch } from "./validate-batch.ts";
