import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type Codecs,
  decodeRecords,
  decompressedBytesMax,
  explainDecodeFailure,
  explainStop,
  hasValidCrc,
  iterateBatches,
  nextOffsetOf,
  type StoredRecord,
} from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";

export interface DecodedFetch {
  readonly records: readonly StoredRecord[];
  /** Their keys and values in bytes. */
  readonly decodedBytes: number;
  /** Offset to go on from. */
  readonly nextOffset: bigint;
  /** Leader epoch of the last batch; undefined where there was none. */
  readonly leaderEpoch: number | undefined;
}

/** Which records of an answer count: the first batch may begin below `from`, and the last may end above `end`. */
export interface Range {
  readonly from: bigint;
  /** Records from here on are left out. Undefined: none. */
  readonly end: bigint | undefined;
  /**
   * Keys and values in bytes after which no further batch is opened, so that small answers that were compressed well do not
   * fill the memory: what is left is fetched again. Below 0: none is opened.
   */
  readonly decodedBytesMax: number;
}

/**
 * The records of a partition's part of an answer. One that ends within a batch is read up to there. Fails with
 * REASON_CORRUPT_BATCH or REASON_UNSUPPORTED_CODEC, and then nothing of it is handed out.
 */
export function decodeFetched(bytes: Uint8Array, { from, end, decodedBytesMax }: Range, codecs: Codecs): DecodedFetch {
  const records: StoredRecord[] = [];
  let nextOffset = from;
  let leaderEpoch: number | undefined;
  let decodedBytes = 0;
  for (const step of iterateBatches(bytes)) {
    if (decodedBytes > decodedBytesMax) break;
    if (step.kind === "end" || (step.kind === "incomplete" && leaderEpoch !== undefined)) break;
    if (step.kind !== "ok") throw corrupt(explainStop(step, bytes.length));
    const { header } = step;
    if (!hasValidCrc(bytes, header, crc32c))
      throw corrupt(`the checksum of the batch at ${header.baseOffset} is wrong`);
    const decoded = decodeRecords(bytes, header, { codecs, maxDecompressedBytes: decompressedBytesMax });
    if (decoded.kind === "failed") {
      const message = `The batch at offset ${header.baseOffset} cannot be read: ${explainDecodeFailure(decoded.reason)}`;
      const isCodec = decoded.reason === "unsupportedCodec";
      throw new TidemarkError({ reason: isCodec ? Reason.UNSUPPORTED_CODEC : Reason.CORRUPT_BATCH, message });
    }
    for (const record of decoded.records) {
      if (record.offset < from || (end !== undefined && record.offset >= end)) continue;
      records.push(record);
      decodedBytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    }
    const next = nextOffsetOf(header);
    if (next > nextOffset) nextOffset = next;
    leaderEpoch = header.leaderEpoch;
  }
  return { records, decodedBytes, nextOffset, leaderEpoch };
}

function corrupt(what: string): TidemarkError {
  return new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: `What was fetched is damaged: ${what}` });
}
