import type { Offset } from "@tidemark/ids";
import { lesser } from "../bytes.ts";
import { DamageError } from "../errors.ts";
import { floorOfOffset } from "../index/segment-index.ts";
import { type LogState, segmentIndexFor } from "../log-state.ts";
import { ensureIndex } from "../read/find.ts";
import { damageReading } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import { isBehind, noProducerState, readSnapshot, replayInto } from "./producer-state.ts";

/** Gives the producers' state machine what the log has up to its end: the newest snapshot and the batches behind it. */
export async function rebuildProducers(log: LogState): Promise<void> {
  if (log.producers === noProducerState) return;
  const { context, directory, producers } = log;
  const snapshot = await readSnapshot(context, directory, log.written);
  producers.restore(snapshot?.state);
  log.snapshotAt = snapshot?.offset;
  const from = snapshot?.offset ?? log.logStart;
  for (let number = segmentIndexFor(log.segments, from); number < log.segments.length; number++) {
    const segment = log.segments[number];
    if (segment === undefined || segment.size === 0) continue;
    const index = await ensureIndex(log, segment);
    const floor = floorOfOffset(index, lesser(from, segment.nextOffset), segment.baseOffset);
    const { file, release } = await context.files.acquire(segment.path);
    try {
      const source = damageReading(file, segment, () => from);
      const scan = await scanBatches(source, { from: floor.position, to: segment.size }, (header) => {
        if (isBehind(header, from)) replayInto(producers, header);
        return undefined;
      });
      if (scan.stop.kind !== "end") throw unsound(segment.path, scan.position, from);
    } finally {
      release();
    }
  }
  producers.written(log.written);
}

function unsound(path: string, position: number, offset: Offset): DamageError {
  return new DamageError({ kind: "corruptBatch", offset, detail: `No sound batch at byte ${position} of ${path}` });
}
