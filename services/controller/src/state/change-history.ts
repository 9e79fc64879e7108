import type { Revision } from "@tidemark/ids";
import type { MetadataChange } from "@tidemark/metadata";

/** One committed batch, as far as it concerns the metadata image. */
interface HistoryEntry {
  readonly revision: Revision;
  /** Not empty. */
  readonly changes: readonly MetadataChange[];
}

/**
 * The latest batches, so that a watcher who was away for a moment goes on where it was. Watchers keep a revision and no
 * queue: one that reads too slowly falls behind the oldest batch kept, and begins anew with a snapshot.
 */
export interface ChangeHistory {
  /** Everything up to this revision is known by a snapshot: nothing before it can be told as batches. */
  reset(revision: Revision): void;
  add(entry: HistoryEntry): void;
  /** The batches after a revision, in order. Undefined where they are not all kept. */
  after(revision: Revision): readonly HistoryEntry[] | undefined;
}

export interface HistoryLimits {
  readonly batchesMax: number;
  readonly changesMax: number;
}

export function createChangeHistory(limits: HistoryLimits): ChangeHistory {
  let entries: HistoryEntry[] = [];
  let changes = 0;
  /** Every batch after it is in `entries`. */
  let completeAfter: Revision | undefined;

  return {
    reset(revision) {
      entries = [];
      changes = 0;
      completeAfter = revision;
    },
    add(entry) {
      entries.push(entry);
      changes += entry.changes.length;
      while (entries.length > limits.batchesMax || (changes > limits.changesMax && entries.length > 1)) {
        const oldest = entries.shift();
        changes -= oldest?.changes.length ?? 0;
        completeAfter = oldest?.revision;
      }
    },
    after(revision) {
      if (completeAfter === undefined || revision < completeAfter) return undefined;
      return entries.slice(firstAfter(entries, revision));
    },
  };
}

/** Index of the first entry of a higher revision. */
function firstAfter(entries: readonly HistoryEntry[], revision: Revision): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && entry.revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
