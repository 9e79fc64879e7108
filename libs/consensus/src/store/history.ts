import type { Revision } from "@tidemark/ids";
import { bytesOfBatch } from "../batch.ts";
import type { CommittedBatch } from "./store-link.ts";

/** The newest batches, for sessions that resume. */
export interface History {
  add(batch: CommittedBatch): void;
  /** Every batch behind `revision`, oldest first. Undefined where some of them were forgotten. */
  after(revision: Revision): readonly CommittedBatch[] | undefined;
  forget(): void;
}

/** Past either bound the older half is forgotten. */
export interface HistoryBounds {
  readonly batchesMax: number;
  readonly bytesMax: number;
}

export const historyBounds: HistoryBounds = { batchesMax: 8_192, bytesMax: 32 * 1024 * 1024 };

/** `start`: the revision of the state before the first batch. */
export function createHistory(start: Revision, bounds: HistoryBounds = historyBounds): History {
  let batches: CommittedBatch[] = [];
  let bytes = 0;
  let before = start;

  const drop = (count: number) => {
    const last = batches[count - 1];
    if (last === undefined) return;
    before = last.revision;
    for (const batch of batches.slice(0, count)) bytes -= bytesOfBatch(batch.changes);
    batches = batches.slice(count);
  };

  return {
    add(batch) {
      batches.push(batch);
      bytes += bytesOfBatch(batch.changes);
      if (batches.length > bounds.batchesMax || bytes > bounds.bytesMax) drop(Math.ceil(batches.length / 2));
    },
    after(revision) {
      if (revision < before) return undefined;
      return batches.filter((batch) => batch.revision > revision);
    },
    forget: () => drop(batches.length),
  };
}
