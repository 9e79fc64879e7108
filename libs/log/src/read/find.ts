import type { DiskFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { lastOffsetOf, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { DamageError } from "../errors.ts";
import { type Floor, floorOfOffset, type SegmentIndex } from "../index/segment-index.ts";
import { activeSegment, type LogState } from "../log-state.ts";
import { damageReading } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import { buildIndex, readIndex, type Segment, writeIndex } from "../segment/segment.ts";

/** The segment's index, loaded or made anew. */
export async function ensureIndex(log: LogState, segment: Segment): Promise<SegmentIndex> {
  if (segment.index !== undefined) {
    if (segment !== activeSegment(log)) log.context.indexes.touch(segment, segment.index);
    return segment.index;
  }
  const read = await readIndex(log.context, segment);
  // A segment that has a successor grows no more, and its index covers it whole.
  const index = read?.covered.bytes === segment.size ? read : await rebuildIndex(log, segment);
  segment.index ??= index;
  if (segment !== activeSegment(log)) log.context.indexes.touch(segment, segment.index);
  return segment.index;
}

/** Reads the segment for its index. Throws DamageError where it is not whole batches up to its end. */
export async function rebuildIndex(log: LogState, segment: Segment): Promise<SegmentIndex> {
  const { size } = segment;
  const index = await buildIndex(log.context, { ...segment, size }, log.settings.indexIntervalBytes);
  if (index.covered.bytes !== size) {
    throw new DamageError({
      kind: "corruptBatch",
      offset: index.covered.nextOffset,
      detail: `No batch at byte ${index.covered.bytes} of ${segment.path}`,
    });
  }
  if (segment !== activeSegment(log)) await writeIndex(log.context, segment, index);
  return index;
}

/** Whether what the index says of a place is so. An index proves itself at each lookup. */
export function floorHolds(floor: Floor, bytes: Uint8Array): boolean {
  if (floor.lastOffset === undefined) return true;
  const found = readBatchHeader(bytes);
  return found.kind !== "malformed" && found.header !== undefined && lastOffsetOf(found.header) === floor.lastOffset;
}

export async function floorIn(log: LogState, segment: Segment, offset: Offset): Promise<Floor> {
  return floorOfOffset(await ensureIndex(log, segment), offset, segment.baseOffset);
}

/**
 * Where no batch has `offset`, as compaction leaves it, it may be that a damaged header only says so: it is passed over
 * without a look at its checksum. Throws DamageError if a batch from `from` on, up to the first one behind `offset`, does
 * not match its checksum.
 */
export async function assertNothingMissed(
  { context }: LogState,
  segment: Segment,
  { file, from, offset }: { readonly file: DiskFile; readonly from: number; readonly offset: Offset },
): Promise<void> {
  const range = { from, to: segment.size, crc32c: context.crc32c };
  const scan = await scanBatches(
    damageReading(file, segment, () => offset),
    range,
    (header) => (nextOffsetOf(header) > offset ? "behind it" : undefined),
  );
  if (scan.stop.kind === "end" || scan.stop.kind === "refused") return;
  const detail = `No sound batch at byte ${scan.position} of ${segment.path}`;
  throw new DamageError({ kind: "corruptBatch", offset, detail });
}
