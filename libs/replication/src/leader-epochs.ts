import { type LeaderEpoch, noLeaderEpoch, type Offset } from "@tidemark/ids";

/** Where the records of one leader epoch begin. */
export interface EpochStart {
  readonly leaderEpoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** Where the records of one leader epoch end (exclusive). */
interface EpochEnd {
  /** `noLeaderEpoch` when the log knows no epoch as old as the one asked for. */
  readonly leaderEpoch: LeaderEpoch;
  readonly endOffset: Offset;
}

/**
 * The leader epochs of one log, oldest first: the memory of `leader-epoch-checkpoint`.
 *
 * 1. Epochs rise strictly; start offsets never fall.
 * 2. An epoch whose start equals the next one's, or the log end, is one in which nothing was written. It counts (R8).
 */
export interface LeaderEpochs {
  /** `noLeaderEpoch` when nothing was written yet. */
  latest(): LeaderEpoch;
  /** Undefined for an epoch that is not in the log. */
  startOf(leaderEpoch: LeaderEpoch): Offset | undefined;
  /** The end of the newest epoch not above `leaderEpoch`: the start of the one after it, else `logEnd` (KIP-101). */
  endOf(leaderEpoch: LeaderEpoch, logEnd: Offset): EpochEnd;
  /** Notes that `leaderEpoch` begins at `startOffset`. False, and nothing changed, when it is not newer than the latest. */
  assign(leaderEpoch: LeaderEpoch, startOffset: Offset): boolean;
  /** Forgets the epochs that begin at or above `cut`. */
  truncate(cut: Offset): void;
  /** Forgets what lies below the log start; the epoch that spans it begins there from now on. */
  advanceStart(logStart: Offset): void;
  /** Forgets everything. */
  clear(): void;
  /** Oldest first. The same array as long as nothing changes, and then another one. */
  entries(): readonly EpochStart[];
}

/** `initial` is what the checkpoint of the log holds, oldest first. */
export function createLeaderEpochs(initial: readonly EpochStart[] = []): LeaderEpochs {
  const entries: EpochStart[] = [...initial];
  let shown: readonly EpochStart[] | undefined;
  return {
    latest: () => entries.at(-1)?.leaderEpoch ?? noLeaderEpoch,
    startOf: (leaderEpoch) => entries.findLast((entry) => entry.leaderEpoch === leaderEpoch)?.startOffset,
    endOf(leaderEpoch, logEnd) {
      // The answer is nearly always the last entry, so the search begins there.
      let endOffset = logEnd;
      for (let index = entries.length - 1; index >= 0; index--) {
        const entry = entries[index];
        if (entry === undefined) break;
        if (entry.leaderEpoch <= leaderEpoch) return { leaderEpoch: entry.leaderEpoch, endOffset };
        endOffset = entry.startOffset;
      }
      return { leaderEpoch: noLeaderEpoch, endOffset };
    },
    assign(leaderEpoch, startOffset) {
      const last = entries.at(-1);
      if (last !== undefined && (leaderEpoch <= last.leaderEpoch || startOffset < last.startOffset)) return false;
      shown = undefined;
      entries.push({ leaderEpoch, startOffset });
      return true;
    },
    truncate(cut) {
      shown = undefined;
      while ((entries.at(-1)?.startOffset ?? -1n) >= cut) entries.pop();
    },
    advanceStart(logStart) {
      let spanning = entries.findLastIndex((entry) => entry.startOffset <= logStart);
      if (spanning < 0 || (spanning === 0 && entries[0]?.startOffset === logStart)) return;
      shown = undefined;
      entries.splice(0, spanning);
      spanning = 0;
      const first = entries[spanning];
      if (first !== undefined) entries[spanning] = { leaderEpoch: first.leaderEpoch, startOffset: logStart };
    },
    clear() {
      shown = undefined;
      entries.length = 0;
    },
    entries: () => (shown ??= [...entries]),
  };
}
