import type { PooledFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, noProducerId, readBatchHeader, type StoredRecord } from "@tidemark/record";
import { syncEntries } from "../context.ts";
import { DamageError } from "../errors.ts";
import { createSegmentIndex, type SegmentIndex } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { asideSuffix } from "../names.ts";
import { damageReading } from "../read/find.ts";
import { scanBatches } from "../segment/scan.ts";
import { createSegment, extendIndex, removeIndex, type Segment, writeIndex } from "../segment/segment.ts";
import type { Round } from "./compact.ts";
import { filterBatch } from "./filter-batch.ts";

/** What one compressed batch may take decompressed while its keys are looked at. */
export const decompressedBytesMax = 256 * 1024 * 1024;
/** Bytes that are read, and collected before they are written, at a time: others get their turn in between. */
export const pieceBytes = 256 * 1024;

/** Whether anything of the segment goes: most of what was compacted before stays as it is. */
export async function needsRewrite(log: LogState, segment: Segment, round: Round): Promise<boolean> {
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const reading = damageReading(file, segment, () => segment.baseOffset);
    const range = { from: 0, to: segment.size, crc32c: log.context.crc32c, pieceBytes };
    const scan = await scanBatches(reading, range, (header, bytes) => {
      if (!round.goesOn()) return "over";
      return keptOf(log, { header, bytes }, round).kind === "whole" ? undefined : "something goes";
    });
    if (scan.stop.kind !== "end" && scan.stop.kind !== "refused") throw unsound(segment, scan.position);
    return scan.stop.kind === "refused";
  } finally {
    release();
  }
}

/** Writes a segment anew without the records that go, and puts it in the old one's place. */
export async function rewriteSegment(log: LogState, segment: Segment, round: Round): Promise<void> {
  const { context, directory } = log;
  const cleaned = createSegment(directory, segment.baseOffset);
  cleaned.path += asideSuffix;
  cleaned.nextOffset = segment.nextOffset;
  await context.disk.remove(cleaned.path);
  context.files.forget(cleaned.path);
  const target = await context.files.create(cleaned.path);
  let index: SegmentIndex;
  try {
    index = await copyKept(log, { segment, cleaned, target }, round);
    await target.file.sync();
  } finally {
    target.release();
  }
  if (!round.goesOn()) {
    context.files.forget(cleaned.path);
    await context.disk.remove(cleaned.path);
    return;
  }
  await swap(log, { segment, cleaned, index });
}

async function copyKept(
  log: LogState,
  { segment, cleaned, target }: { readonly segment: Segment; readonly cleaned: Segment; readonly target: PooledFile },
  round: Round,
): Promise<SegmentIndex> {
  const { context } = log;
  const index = createSegmentIndex(segment.baseOffset);
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  const writeOut = async () => {
    await target.file.write(cleaned.size, kept);
    cleaned.size += keptBytes;
    kept.length = 0;
    keptBytes = 0;
  };
  const source = await context.files.acquire(segment.path);
  try {
    let from = 0;
    while (from < segment.size && round.goesOn()) {
      const reading = damageReading(source.file, segment, () => segment.baseOffset);
      const range = { from, to: segment.size, crc32c: context.crc32c, pieceBytes, keepsBytes: true };
      const scan = await scanBatches(reading, range, (header, bytes) => {
        if (keptBytes >= pieceBytes || !round.goesOn()) return "enough";
        const filtered = keptOf(log, { header, bytes }, round);
        if (filtered.kind === "gone") return undefined;
        const { position, sizeInBytes } = header;
        const batch = filtered.kind === "whole" ? bytes.subarray(position, position + sizeInBytes) : filtered.bytes;
        const found = readBatchHeader(batch);
        if (found.kind === "ok") extendIndex(index, found.header, segment, log.settings.indexIntervalBytes);
        // The scanned bytes live on until they are written.
        kept.push(batch);
        keptBytes += batch.length;
        return undefined;
      });
      if (scan.stop.kind !== "end" && scan.stop.kind !== "refused") throw unsound(segment, scan.position);
      from = scan.position;
      await writeOut();
    }
  } finally {
    source.release();
  }
  return index;
}

type Kept =
  | { readonly kind: "whole" }
  | { readonly kind: "filtered"; readonly bytes: Uint8Array }
  | { readonly kind: "gone" };

/** What stays of a batch. */
function keptOf(
  log: LogState,
  { header, bytes }: { readonly header: BatchHeader; readonly bytes: Uint8Array },
  round: Round,
): Kept {
  if (header.isControl) return { kind: "whole" };
  const filtered = filterBatch(bytes, header, {
    codecs: log.context.codecs,
    crc32c: log.context.crc32c,
    maxDecompressedBytes: decompressedBytesMax,
    keep: (record) => staysIn(record, round),
  });
  if (filtered.kind !== "filtered") return { kind: "whole" };
  return filtered.recordCount > 0 || isLastOfProducer(header, round) ? filtered : { kind: "gone" };
}

function staysIn(record: StoredRecord, round: Round): boolean {
  if (record.offset >= round.upTo) return true;
  // Without a key a record can be no key's last value.
  if (record.key === null) return false;
  const last = round.keys.get(record.key);
  if (last !== undefined && last > record.offset) return false;
  return record.value !== null || record.offset >= round.markersBelow;
}

/** A batch without records keeps the sequence of its producer, until a later one does. */
function isLastOfProducer(header: BatchHeader, round: Round): boolean {
  if (header.producerId === noProducerId) return false;
  const last: Offset | undefined = round.producers.get(header.producerId);
  return last === undefined || last <= header.baseOffset;
}

/** Readers take the new segment from here on; the rename makes it so for the next start. */
async function swap(
  log: LogState,
  { segment, cleaned, index }: { readonly segment: Segment; readonly cleaned: Segment; readonly index: SegmentIndex },
): Promise<void> {
  const { context, directory } = log;
  await removeIndex(context, segment);
  await syncEntries(context, directory);
  log.replacing++;
  try {
    await context.disk.rename(cleaned.path, segment.path);
    context.files.forget(cleaned.path);
    context.files.forget(segment.path);
    context.indexes.forget(segment);
    cleaned.path = segment.path;
    log.segments = log.segments.map((other) => (other === segment ? cleaned : other));
  } finally {
    log.generation++;
    log.replacing--;
  }
  await syncEntries(context, directory);
  await writeIndex(context, cleaned, index);
}

function unsound(segment: Segment, position: number): DamageError {
  const detail = `No sound batch at byte ${position} of ${segment.path}`;
  return new DamageError({ kind: "corruptBatch", offset: segment.baseOffset, detail });
}
