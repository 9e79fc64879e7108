import type { PooledFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import {
  type BatchHeader,
  lastOffsetOf,
  nextOffsetOf,
  noProducerId,
  readBatchHeader,
  type StoredRecord,
} from "@tidemark/record";
import { DamageError } from "../errors.ts";
import { createSegmentIndex, type SegmentIndex } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { cleanedSuffix } from "../names.ts";
import { damageReading } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import { createSegment, extendIndex, type Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";
import type { Round } from "./compact.ts";
import { filterBatch } from "./filter-batch.ts";
import { putInPlace } from "./swap.ts";

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

/** Writes neighbours anew, into one, without the records that go, and puts that in their place. */
export async function rewriteSegments(log: LogState, group: readonly Segment[], round: Round): Promise<void> {
  const { context, directory } = log;
  const [first, last] = [group[0], group.at(-1)];
  if (first === undefined || last === undefined) return;
  const cleaned = createSegment(directory, first.baseOffset);
  cleaned.path += cleanedSuffix;
  cleaned.nextOffset = last.nextOffset;
  await context.disk.remove(cleaned.path);
  context.files.forget(cleaned.path);
  const target = await context.files.create(cleaned.path);
  const index = createSegmentIndex(cleaned.baseOffset);
  try {
    for (const segment of group) await copyKept(log, { segment, cleaned, target, index }, round);
    await target.file.sync();
  } catch (error) {
    // A full disk needs the space back at once.
    if (isSpaceError(error)) await dropAside(log, cleaned);
    throw error;
  } finally {
    target.release();
  }
  if (round.goesOn()) await putInPlace(log, { group, cleaned, index });
  else await dropAside(log, cleaned);
}

async function dropAside({ context }: LogState, { path }: Segment): Promise<void> {
  context.files.forget(path);
  await context.disk.remove(path);
}

interface Copy {
  readonly segment: Segment;
  /** Grows by what stays of the segment. */
  readonly cleaned: Segment;
  readonly target: PooledFile;
  /** Of `cleaned`. */
  readonly index: SegmentIndex;
}

async function copyKept(log: LogState, { segment, cleaned, target, index }: Copy, round: Round): Promise<void> {
  const { context } = log;
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
        if (found.kind === "ok") extendIndex(index, found.header, cleaned, log.settings.indexIntervalBytes);
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
    keep: (record) => staysIn(record, round),
  });
  // What an earlier round, or the leader's, left empty is looked at again.
  const isEmpty = filtered.kind === "filtered" ? filtered.recordCount === 0 : header.recordCount === 0;
  if (isEmpty && !staysEmpty(header, round)) return { kind: "gone" };
  return filtered.kind === "filtered" ? filtered : { kind: "whole" };
}

/** Whether a batch is of use without its records: Kafka's format has such batches too. */
function staysEmpty(header: BatchHeader, round: Round): boolean {
  return beginsLeaderEpoch(header, round) || isLastOfProducer(header, round) || reachesActive(header, round);
}

/**
 * The first batch of a leader epoch tells where that begins (KIP-101) to replicas that copy this log, and to a start
 * that has lost the list. Without it they would take a later offset for it than others do.
 */
function beginsLeaderEpoch(header: BatchHeader, { epochStarts }: Round): boolean {
  const start: Offset | undefined = epochStarts.get(header.leaderEpoch);
  return start !== undefined && header.baseOffset <= start && start <= lastOffsetOf(header);
}

function staysIn(record: StoredRecord, round: Round): boolean {
  if (record.offset >= round.upTo) return true;
  // Without a key a record can be no key's last value.
  if (record.key === null) return false;
  const last = round.keys.get(record.key);
  if (last !== undefined && last > record.offset) return false;
  return record.value !== null || record.offset >= round.markersBelow;
}

/** While the active segment is empty, readers and followers come to the log end by the batch before it alone. */
function reachesActive(header: BatchHeader, { activeFrom }: Round): boolean {
  return nextOffsetOf(header) === activeFrom;
}

/** A batch without records keeps the sequence of its producer, until a later one does. */
function isLastOfProducer(header: BatchHeader, round: Round): boolean {
  if (header.producerId === noProducerId) return false;
  const last: Offset | undefined = round.producers.get(header.producerId);
  return last === undefined || last <= header.baseOffset;
}

function unsound(segment: Segment, position: number): DamageError {
  const detail = `No sound batch at byte ${position} of ${segment.path}`;
  return new DamageError({ kind: "corruptBatch", offset: segment.baseOffset, detail });
}
