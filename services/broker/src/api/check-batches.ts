import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import type { Acks } from "@tidemark/proto/log/v1";
import {
  type BatchHeader,
  type BatchRefusal,
  batchHeaderBytes,
  type Codecs,
  type DecodeFailure,
  decodeRecords,
  decompressedBytesMax,
  decompressionRatioMax,
  explainDecodeFailure,
  explainRefusal,
  explainStop,
  iterateBatches,
  noProducerId,
  type StoredRecord,
  validateBatch,
} from "@tidemark/record";
import { batchTooLarge, corruptBatch, invalidRecord, type Place, TidemarkError, unknownCodec } from "@tidemark/rpc";
import type { CheckedBatches } from "../partition/partition.ts";
import type { TopicLogSettings } from "../partition/topic-log-settings.ts";
import { ackLevel } from "./append.ts";

/**
 * What a leader checks of the batches of a request before it appends any of them. Throws a TidemarkError that names the
 * batch; nothing was changed then.
 *
 * The records are walked, and decompressed for it: a checksum says that they are what was sent, not that anybody can
 * read them, and one batch that nobody can read would bar every reader from what comes behind it.
 */
export function checkBatches(
  bytes: Uint8Array,
  place: Place,
  {
    settings: { maxBatchBytes, log },
    codecs,
    acks,
    ratioMax = decompressionRatioMax,
  }: {
    readonly settings: Pick<TopicLogSettings, "maxBatchBytes" | "log">;
    readonly codecs: Codecs;
    readonly acks: Acks;
    /** How many times larger the records of a compressed batch may become. Absent: as much as readers take. */
    readonly ratioMax?: number | undefined;
  },
): CheckedBatches {
  const headers: BatchHeader[] = [];
  let records = 0;
  for (const step of iterateBatches(bytes)) {
    if (step.kind === "end") break;
    if (step.kind !== "ok") throw corruptBatch(place, explainStop(step, bytes.length));
    const { header } = step;
    const verdict = validateBatch(bytes, header, { crc32c, maxBatchBytes });
    if (verdict.kind === "refused") throw refusal(verdict.reason, header, { place, maxBatchBytes });
    const ratioBytes = (header.sizeInBytes - batchHeaderBytes) * ratioMax;
    const maxDecompressedBytes = Math.min(decompressedBytesMax, ratioBytes);
    const decoded = decodeRecords(bytes, header, { codecs, maxDecompressedBytes });
    if (decoded.kind === "failed") throw unreadable(decoded.reason, place, { ratioMax, maxDecompressedBytes });
    if (log.compaction !== undefined) checkKeys(decoded.records, place, records);
    headers.push(header);
    records += header.recordCount;
  }
  if (headers.length === 0) throw corruptBatch(place, "there is no batch in it");
  checkProducer(headers, place, acks);
  return { bytes, headers, records };
}

/** Compaction keeps the last record of each key, and would drop what has none (L7). `before`: records of earlier batches. */
function checkKeys(records: Iterable<StoredRecord>, place: Place, before: number): void {
  let index = before;
  for (const { key } of records) {
    if (key === null) throw invalidRecord(place, index, "it has no key, and the topic is compacted by key");
    index++;
  }
}

function refusal(
  reason: BatchRefusal,
  header: BatchHeader,
  { place, maxBatchBytes }: { readonly place: Place; readonly maxBatchBytes: number },
): TidemarkError {
  switch (reason) {
    case "batchTooLarge":
      return batchTooLarge(place, header.sizeInBytes, maxBatchBytes);
    case "unknownCodec":
      return unknownCodec(place, header.codecId);
    case "crcMismatch":
    case "unusedAttributeBits":
    case "logAppendTimestamp":
    case "transactionalBatch":
    case "controlBatch":
    case "deleteHorizon":
    case "emptyBatch":
    case "recordCountMismatch":
    case "timestampsOutOfOrder":
    case "producerFieldsDisagree":
      return corruptBatch(place, explainRefusal(reason));
  }
}

function unreadable(
  reason: DecodeFailure,
  place: Place,
  { ratioMax, maxDecompressedBytes }: { readonly ratioMax: number; readonly maxDecompressedBytes: number },
): TidemarkError {
  if (reason === "decompressedTooLarge") {
    const limit = `${ratioMax} times what came (decompression.ratio.max), and ${decompressedBytesMax} B in any case`;
    return corruptBatch(
      place,
      `decompressed its records have more than the ${maxDecompressedBytes} B that they may have: ${limit}`,
    );
  }
  if (reason !== "unsupportedCodec")
    return corruptBatch(place, `its records cannot be read: ${explainDecodeFailure(reason)}`);
  return new TidemarkError({
    reason: Reason.UNSUPPORTED_CODEC,
    message: "The codec of the batch cannot be loaded on this broker: use another one",
    ...place,
  });
}

/** What is stored once is answered once: one batch in a request, which is acknowledged when it is committed (R11). */
function checkProducer(headers: readonly BatchHeader[], place: Place, acks: Acks): void {
  if (headers.every(({ producerId }) => producerId === noProducerId)) return;
  const refuse = (message: string) => new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message, ...place });
  if (headers.length > 1) throw refuse("A batch with a producer id is the only one of its request");
  if (ackLevel(acks) !== "all") throw refuse("A batch with a producer id is sent with acks ALL");
}
