/**
 * Which leader epoch begins at which offset: what truncation goes by (R8, KIP-101, KIP-279).
 *
 * Epochs rise strictly, start offsets do not fall. An epoch in which nothing was written has the start offset of the
 * next one, and counts. Pure: a value that is replaced, never changed.
 */
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import type { BatchHeader } from "@tidemark/record";

export interface EpochStart {
  readonly leaderEpoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** In rising order. Empty for a log in which nothing was ever written by a known epoch. */
export type EpochCache = readonly EpochStart[];

/** Where an epoch ended, as its leader answers a follower. */
export interface EpochEnd {
  /** The epoch asked for, or the latest one before it that the log knows. */
  readonly leaderEpoch: LeaderEpoch;
  /** First offset that is not of this epoch or an older one. */
  readonly endOffset: Offset;
}

export function latestEpoch(cache: EpochCache): LeaderEpoch | undefined {
  return cache.at(-1)?.leaderEpoch;
}

/**
 * The cache with `start` in it. An epoch that is known already keeps its first start. Throws a RangeError for an epoch
 * older than the latest, or a start before the latest one's: that is another log's history.
 */
export function assignEpoch(cache: EpochCache, start: EpochStart): EpochCache {
  const latest = cache.at(-1);
  if (latest !== undefined) {
    if (latest.leaderEpoch === start.leaderEpoch) return cache;
    if (latest.leaderEpoch > start.leaderEpoch || latest.startOffset > start.startOffset) {
      throw new RangeError(
        `Leader epoch ${start.leaderEpoch} at ${start.startOffset} cannot follow ${latest.leaderEpoch} at ${latest.startOffset}`,
      );
    }
  }
  return [...cache, start];
}

/**
 * The cache after a batch of `leaderEpoch` was found at `startOffset`: of use when what was noted may lack epochs, or
 * have some whose batches are gone. An epoch that began further down, by what was noted, goes on here: a power cut may
 * bring back the end of a log that was cut, behind the start of a newer epoch in which nothing was written.
 */
export function learnEpoch(cache: EpochCache, found: EpochStart): EpochCache {
  if (epochAt(cache, found.startOffset) === found.leaderEpoch) return cache;
  const before = cache.filter((e) => e.startOffset <= found.startOffset && e.leaderEpoch <= found.leaderEpoch);
  const after = cache.filter((e) => e.startOffset > found.startOffset && e.leaderEpoch > found.leaderEpoch);
  const goesOn = before.at(-1)?.leaderEpoch === found.leaderEpoch;
  return [...before, ...(goesOn ? [] : [found]), ...after];
}

/**
 * Where `leaderEpoch` ended in a log that ends at `logEnd`. An epoch that the log does not know ended where the latest
 * one before it did, and the answer names that one; before the first known epoch it ended at that one's start.
 * Undefined for an epoch newer than all, and for an empty cache.
 */
export function epochEnd(cache: EpochCache, leaderEpoch: LeaderEpoch, logEnd: Offset): EpochEnd | undefined {
  const latest = cache.at(-1);
  if (latest === undefined || leaderEpoch > latest.leaderEpoch) return undefined;
  const next = cache.findIndex((entry) => entry.leaderEpoch > leaderEpoch);
  if (next === -1) return { leaderEpoch: latest.leaderEpoch, endOffset: logEnd };
  const endOffset = cache[next]?.startOffset ?? logEnd;
  return { leaderEpoch: cache[next - 1]?.leaderEpoch ?? leaderEpoch, endOffset };
}

/** The epoch of the record at `at`; undefined below the first start. Of several with one start, the latest. */
export function epochAt(cache: EpochCache, at: Offset): LeaderEpoch | undefined {
  return cache.findLast((entry) => entry.startOffset <= at)?.leaderEpoch;
}

/** What a batch says of itself that its checksum leaves out. */
type Claim = Pick<BatchHeader, "baseOffset" | "leaderEpoch">;

/**
 * The first of some batches, in the order of the log, whose leader epoch is not the one that began there. A batch's checksum
 * leaves its leader epoch out, so a bit that flips in it is found by nothing else. Batches below the first start are not
 * judged.
 */
export function firstOfAnotherEpoch<Batch extends Claim>(
  cache: EpochCache,
  batches: readonly Batch[],
): Batch | undefined {
  const [first] = batches;
  if (first === undefined) return undefined;
  let at = cache.findLastIndex((entry) => entry.startOffset <= first.baseOffset);
  return batches.find(({ baseOffset, leaderEpoch }) => {
    while ((cache[at + 1]?.startOffset ?? baseOffset + 1n) <= baseOffset) at++;
    return leaderEpoch !== (cache[at]?.leaderEpoch ?? leaderEpoch);
  });
}

/** After the log was cut at `end`: epochs that begin there or later never were. */
export function cutEpochsAtEnd(cache: EpochCache, end: Offset): EpochCache {
  const kept = cache.filter((entry) => entry.startOffset < end);
  return kept.length === cache.length ? cache : kept;
}

/** After the log start moved to `start`: the epoch that covers it begins there now, and older ones are forgotten. */
export function cutEpochsAtStart(cache: EpochCache, start: Offset): EpochCache {
  const covering = cache.findLastIndex((entry) => entry.startOffset <= start);
  const first = cache[covering];
  if (first === undefined || (covering === 0 && first.startOffset === start)) return cache;
  return [{ ...first, startOffset: start }, ...cache.slice(covering + 1)];
}
