import type { Offset } from "@tidemark/ids";
import { type BatchHeader, type DecodedBatch, decodeRecords, hasValidCrc, nextOffsetOf } from "@tidemark/record";
import type { LogContext } from "../context.ts";
import { createSegmentIndex } from "../index/segment-index.ts";
import { type ScanStop, scanBatches } from "../segment/scan.ts";
import { buildIndex, extendIndex, readIndex, type Segment } from "../segment/segment.ts";
import { isElsewhere } from "../write/gaps.ts";

/** One batch as it stands in a file. */
export interface BatchDump {
  readonly path: string;
  readonly position: number;
  readonly header: BatchHeader;
  readonly hasValidCrc: boolean;
  /** Decodes the records when it is called. */
  readonly records: () => DecodedBatch;
}

/** What is to be done with the batches of a segment beside counting them. */
export interface BatchDuties {
  /** Sees every batch in order, sound or not. */
  readonly onBatch?: (batch: BatchDump) => void;
  /** Awaited after each piece of batches: for whoever writes out what `onBatch` saw. */
  readonly onPiece?: () => Promise<void>;
  /** Decodes the records of every batch: those that cannot be had are a problem. */
  readonly deep?: boolean;
}

/**
 * | index   | meaning                                                                        |
 * |---------|--------------------------------------------------------------------------------|
 * | sound   | what it says is so; `coveredBytes` of the log are in it                         |
 * | absent  | missing, not whole, or of another log: it is made anew when it is needed        |
 * | wrong   | it proves itself and yet differs from what reading the segment gives            |
 */
export type IndexDump =
  | { readonly kind: "sound"; readonly entries: number; readonly coveredBytes: number }
  | { readonly kind: "absent" }
  | { readonly kind: "wrong" };

export interface SegmentDump {
  readonly path: string;
  readonly baseOffset: Offset;
  readonly sizeInBytes: number;
  readonly batches: number;
  readonly records: number;
  readonly nextOffset: Offset;
  /** Milliseconds since 1970; -1 without any. */
  readonly maxTimestamp: bigint;
  /** Where what can be read as batches ends, and why. */
  readonly end: { readonly position: number; readonly stop: ScanStop };
  readonly index: IndexDump;
  readonly problems: readonly string[];
}

/** What is known of the log around the segment. */
export interface SegmentPlace {
  readonly isLast: boolean;
  /** Whether offsets may be missing between batches. */
  readonly hasGaps: boolean;
}

/** A record may be as large as a batch can be; the file is on this machine. */
const decompressedBytesMax = 2 ** 31 - 1;

export async function dumpSegment(
  context: LogContext,
  segment: Segment,
  { isLast, hasGaps, onBatch, onPiece, deep }: BatchDuties & SegmentPlace,
): Promise<SegmentDump> {
  const { path, baseOffset } = segment;
  const problems: string[] = [];
  const scratch = createSegmentIndex(baseOffset);
  let batches = 0;
  let records = 0;
  const { file, release } = await context.files.acquire(path);
  try {
    const range = { from: 0, to: segment.size, ...(onPiece === undefined ? {} : { afterPiece: onPiece }) };
    const end = await scanBatches(file, range, (header, bytes, position) => {
      const decode = () =>
        decodeRecords(bytes, header, { codecs: context.codecs, maxDecompressedBytes: decompressedBytesMax });
      const isSound = hasValidCrc(bytes, header, context.crc32c);
      if (!isSound)
        problems.push(`${path} at byte ${position}: the batch at ${header.baseOffset} has a wrong checksum`);
      const { nextOffset } = scratch.covered;
      if (isElsewhere(header, nextOffset, hasGaps)) {
        problems.push(`${path} at byte ${position}: offset ${header.baseOffset} after ${nextOffset}`);
      }
      if (!isLast && nextOffsetOf(header) > segment.nextOffset) {
        const next = `the next segment begins at ${segment.nextOffset}`;
        problems.push(`${path} at byte ${position}: the batch at ${header.baseOffset} ends behind it, ${next}`);
      }
      const decoded = deep === true && isSound ? decode() : undefined;
      if (decoded?.kind === "failed") {
        const what = `the records of the batch at ${header.baseOffset} cannot be read`;
        problems.push(`${path} at byte ${position}: ${what} (${decoded.reason})`);
      }
      onBatch?.({ path, position, header, hasValidCrc: isSound, records: decode });
      batches++;
      records += header.recordCount;
      extendIndex(scratch, header, segment, Number.MAX_SAFE_INTEGER);
      return undefined;
    });
    if (end.stop.kind !== "end") {
      const where = `${path} at byte ${end.position}: ${segment.size - end.position} bytes are no batch`;
      problems.push(`${where} (${end.stop.kind}${isLast ? ", a torn tail if they were never flushed" : ""})`);
    }
    const index = await dumpIndex(context, segment);
    if (index.kind === "wrong") problems.push(`the index of ${path} is not that of its log`);
    const { nextOffset, maxTimestamp } = scratch.covered;
    return {
      path,
      baseOffset,
      sizeInBytes: segment.size,
      batches,
      records,
      nextOffset,
      maxTimestamp,
      end,
      index,
      problems,
    };
  } finally {
    release();
  }
}

async function dumpIndex(context: LogContext, segment: Segment): Promise<IndexDump> {
  const index = await readIndex(context, segment);
  if (index === undefined) return { kind: "absent" };
  const covered = { ...segment, size: index.covered.bytes };
  // With an interval of 0 every batch has an entry, among which those of any other interval must be.
  const every = await buildIndex(context, covered, 0);
  const known = new Map<number, number>([[0, -1]]);
  for (let entry = 0; entry < every.offsets.length; entry++) {
    known.set(every.positions.items[entry] ?? 0, every.offsets.items[entry] ?? 0);
  }
  for (let entry = 0; entry < index.offsets.length; entry++) {
    const position = index.positions.items[entry] ?? 0;
    if (position !== 0 && known.get(position) !== index.offsets.items[entry]) return { kind: "wrong" };
  }
  const isSame =
    every.covered.bytes === index.covered.bytes && every.covered.maxTimestamp === index.covered.maxTimestamp;
  return isSame
    ? { kind: "sound", entries: index.offsets.length, coveredBytes: index.covered.bytes }
    : { kind: "wrong" };
}
