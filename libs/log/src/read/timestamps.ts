import type { Offset } from "@tidemark/ids";
import { type BatchHeader, decodeRecords, decompressedBytesMax, lastOffsetOf, noTimestamp } from "@tidemark/record";
import { greater } from "../bytes.ts";
import { DamageError } from "../errors.ts";
import { floorOfOffset, floorOfTime } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { damageReading, readOrDamage } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import type { Segment } from "../segment/segment.ts";
import { ensureIndex, floorHolds, rebuildIndex } from "./find.ts";
import { stableRead } from "./stable.ts";

/** A record, found by its time. */
export interface OffsetAndTimestamp {
  readonly offset: Offset;
  /** Milliseconds since 1970. */
  readonly timestamp: bigint;
}

/**
 * The first record, by offset, whose time is `timestamp` or later; undefined when there is none. Where a batch is
 * compressed by a codec that this process does not have, its first offset stands for the record's.
 */
export async function offsetForTimestamp(log: LogState, timestamp: bigint): Promise<OffsetAndTimestamp | undefined> {
  return stableRead(log, async () => {
    const found = await findIn(log, timestamp);
    // It is being cut.
    return found === undefined || found.offset >= log.written ? undefined : found;
  });
}

async function findIn(log: LogState, timestamp: bigint): Promise<OffsetAndTimestamp | undefined> {
  for (const segment of log.segments) {
    if (segment.nextOffset <= log.logStart || segment.size === 0) continue;
    const index = await ensureIndex(log, segment);
    if (index.covered.maxTimestamp < timestamp) continue;
    const found = await findInSegment(log, segment, timestamp);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function findInSegment(
  log: LogState,
  segment: Segment,
  timestamp: bigint,
): Promise<OffsetAndTimestamp | undefined> {
  const index = await ensureIndex(log, segment);
  const from = greater(floorOfTime(index, timestamp, segment.baseOffset), log.logStart);
  const floor = floorOfOffset(index, from, segment.baseOffset);
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const first = await readOrDamage(file, segment, { from: floor.position, length: 61, offset: from });
    if (!floorHolds(floor, first)) {
      segment.index = await rebuildIndex(log, segment);
      return await findInSegment(log, segment, timestamp);
    }
    let found: OffsetAndTimestamp | undefined;
    const range = { from: floor.position, to: segment.size, crc32c: log.context.crc32c };
    const scan = await scanBatches(
      damageReading(file, segment, () => from),
      range,
      (header, bytes) => {
        if (header.maxTimestamp < timestamp || lastOffsetOf(header) < log.logStart) return undefined;
        found = findInBatch(log, { header, bytes }, timestamp);
        return found === undefined ? undefined : "found";
      },
    );
    if (scan.stop.kind !== "end" && found === undefined) {
      const detail = `No sound batch at byte ${scan.position} of ${segment.path}`;
      throw new DamageError({ kind: "corruptBatch", offset: from, detail });
    }
    return found;
  } finally {
    release();
  }
}

function findInBatch(
  log: LogState,
  batch: { readonly header: BatchHeader; readonly bytes: Uint8Array },
  timestamp: bigint,
): OffsetAndTimestamp | undefined {
  const rules = { codecs: log.context.codecs, maxDecompressedBytes: decompressedBytesMax };
  const decoded = decodeRecords(batch.bytes, batch.header, rules);
  if (decoded.kind === "failed") return { offset: batch.header.baseOffset, timestamp: batch.header.maxTimestamp };
  for (const record of decoded.records) {
    if (record.offset < log.logStart || record.timestamp === noTimestamp) continue;
    if (record.timestamp >= timestamp) return { offset: record.offset, timestamp: record.timestamp };
  }
  return undefined;
}
