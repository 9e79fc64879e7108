import type { Offset } from "@tidemark/ids";
import { batchHeaderBytes, nextOffsetOf } from "@tidemark/record";
import { DamageError } from "../errors.ts";
import { type Coverage, coverageAt, createSegmentIndex, floorOfOffset } from "../index/segment-index.ts";
import type { LogState } from "../log-state.ts";
import { ensureIndex, floorHolds, rebuildIndex } from "../read/find.ts";
import { damageReading, readOrDamage } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import { extendIndex, type Segment } from "../segment/segment.ts";
import { isElsewhere } from "./gaps.ts";

const atCut = "at the cut";

/**
 * What an index covers of the batches that end below `cut`. Reads from the last entry below it. Throws DamageError where a
 * batch on the way there is not sound: a cut would take what lies behind it along.
 */
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
    // Of the batch at the floor the index knows where it ends, not where it begins.
    let least = floor.lastOffset === undefined ? segment.baseOffset : undefined;
    const checked = { from: floor.position, to: segment.size, crc32c: log.context.crc32c };
    const { position, stop } = await scanBatches(source, checked, (header) => {
      if (least !== undefined && isElsewhere(header, least, log.hasGaps)) return `offset ${header.baseOffset}`;
      least = nextOffsetOf(header);
      if (least > cut) return atCut;
      extendIndex(scratch, header, segment, log.settings.indexIntervalBytes);
      return undefined;
    });
    const { nextOffset } = scratch.covered;
    const isAtCut = stop.kind === "refused" && stop.reason === atCut;
    if (stop.kind === "end" || isAtCut || nextOffset >= cut) return scratch.covered;
    const detail = `No sound batch at byte ${position} of ${segment.path}, below a cut at ${cut}`;
    throw new DamageError({ kind: "corruptBatch", offset: nextOffset, detail });
  } finally {
    release();
  }
}
