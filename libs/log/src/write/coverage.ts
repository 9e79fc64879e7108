import type { Offset } from "@tidemark/ids";
import { batchHeaderBytes, lastOffsetOf } from "@tidemark/record";
import { type Coverage, coverageAt, createSegmentIndex, floorOfOffset } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { ensureIndex, floorHolds, rebuildIndex } from "../read/find.ts";
import { damageReading, readOrDamage } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import { extendIndex, type Segment } from "../segment/segment.ts";

/** What an index covers of the batches that end below `cut`. Reads from the last entry below it. */
export async function coverageBelow(log: LogState, segment: Segment, cut: Offset): Promise<Coverage> {
  const index = await ensureIndex(log, segment);
  const scratch = createSegmentIndex(segment.baseOffset);
  const floor = floorOfOffset(index, (cut - 1n) as Offset, segment.baseOffset);
  scratch.covered = coverageAt(index, floor, segment.baseOffset);
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const range = { from: floor.position, length: batchHeaderBytes, offset: scratch.covered.nextOffset };
    if (!floorHolds(floor, await readOrDamage(file, segment, range))) {
      segment.index = await rebuildIndex(log, segment);
      return await coverageBelow(log, segment, cut);
    }
    const source = damageReading(file, segment, () => scratch.covered.nextOffset);
    await scanBatches(source, { from: floor.position, to: segment.size }, (header) => {
      if (lastOffsetOf(header) >= cut) return "at the cut";
      extendIndex(scratch, header, segment, log.settings.indexIntervalBytes);
      return undefined;
    });
  } finally {
    release();
  }
  return scratch.covered;
}
