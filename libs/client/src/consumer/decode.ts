import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type Codecs,
  decodeRecords,
  hasValidCrc,
  iterateBatches,
  nextOffsetOf,
  type StoredRecord,
} from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";

const decompressedBytesMax = 64 * 2 ** 20;

export interface DecodedFetch {
  readonly records: readonly StoredRecord[];
  /** Offset to go on from. */
  readonly nextOffset: bigint;
  /** Leader epoch of the last batch; undefined where there was none. */
  readonly leaderEpoch: number | undefined;
}

/**
 * The records of a fetch from `from` on: the first batch may begin below it. Fails with REASON_CORRUPT_BATCH or
 * REASON_UNSUPPORTED_CODEC.
 */
export function decodeFetched(bytes: Uint8Array, from: bigint, codecs: Codecs): DecodedFetch {
  const records: StoredRecord[] = [];
  let nextOffset = from;
  let leaderEpoch: number | undefined;
  for (const step of iterateBatches(bytes)) {
    if (step.kind === "end") break;
    if (step.kind !== "ok") throw corrupt(`the batch at byte ${step.position} of the answer is ${step.kind}`);
    const { header } = step;
    if (!hasValidCrc(bytes, header, crc32c))
      throw corrupt(`the checksum of the batch at ${header.baseOffset} is wrong`);
    const decoded = decodeRecords(bytes, header, { codecs, maxDecompressedBytes: decompressedBytesMax });
    if (decoded.kind === "failed") {
      const message = `The batch at offset ${header.baseOffset} cannot be read: ${decoded.reason}`;
      const isCodec = decoded.reason === "unsupportedCodec";
      throw new TidemarkError({ reason: isCodec ? Reason.UNSUPPORTED_CODEC : Reason.CORRUPT_BATCH, message });
    }
    for (const record of decoded.records) if (record.offset >= from) records.push(record);
    const next = nextOffsetOf(header);
    if (next > nextOffset) nextOffset = next;
    leaderEpoch = header.leaderEpoch;
  }
  return { records, nextOffset, leaderEpoch };
}

function corrupt(what: string): TidemarkError {
  return new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: `What was fetched is damaged: ${what}` });
}
