import type { Branded, LeaderEpoch, Offset } from "@tidemark/ids";
import { assert } from "./assert.ts";
import { createLeaderEpochs, type EpochStart, type LeaderEpochs } from "./leader-epochs.ts";

/**
 * Counts the cuts of a log. A flush carries the one under which it began, so that a flush from before a cut counts for
 * nothing (L9).
 */
export type FlushGeneration = Branded<number, "FlushGeneration">;

/** What the log on disk holds when the partition is opened. */
export interface LogSnapshot {
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  /** Below it everything is on stable storage: after a start the recovery point, not what is readable (L4). */
  readonly flushedOffset: Offset;
  /** Oldest first. */
  readonly leaderEpochs: readonly EpochStart[];
}

/**
 * The partition's own book of its log. It moves when a write is *ordered*; the log performs the writes in that order,
 * so the book is what the log will be once it has caught up. Only `flushed` waits for the disk.
 */
export interface ReplicaLog {
  start: Offset;
  /** LEO: the offset that the next record will get. */
  end: Offset;
  flushed: Offset;
  generation: FlushGeneration;
  readonly epochs: LeaderEpochs;
}

export function createReplicaLog(snapshot: LogSnapshot): ReplicaLog {
  const { startOffset, endOffset, flushedOffset, leaderEpochs } = snapshot;
  assert(startOffset <= endOffset, "a log does not end before it starts");
  assert(flushedOffset <= endOffset, "no more is flushed than was written");
  return {
    start: startOffset,
    end: endOffset,
    flushed: flushedOffset,
    generation: 0 as FlushGeneration,
    epochs: createLeaderEpochs(leaderEpochs.filter((entry) => entry.startOffset <= endOffset)),
  };
}

/** Where two logs part: the leader's answer to a diverging fetch (R7, KIP-101, KIP-279, KIP-595). */
export interface Divergence {
  /** The newest epoch of the leader that is not above the follower's last one. */
  readonly leaderEpoch: LeaderEpoch;
  /** Where that epoch ends in the leader's log. */
  readonly endOffset: Offset;
}

/** Undefined when a log that ends at `position.offset` with `position.lastEpoch` is a prefix of this one. */
export function findDivergence(
  log: ReplicaLog,
  position: { readonly offset: Offset; readonly lastEpoch: LeaderEpoch },
): Divergence | undefined {
  // A log without records and epochs has nothing that could disagree; it may only lie beyond the end.
  if (position.lastEpoch < 0) {
    return position.offset > log.end ? { leaderEpoch: position.lastEpoch, endOffset: log.end } : undefined;
  }
  const end = log.epochs.endOf(position.lastEpoch, log.end);
  if (end.leaderEpoch === position.lastEpoch) return position.offset <= end.endOffset ? undefined : end;
  return end;
}

/**
 * Where a follower's log has to be cut after the leader named the divergence: never above its end, and always between
 * two batches. Both hold the same batches of the leader's epoch as far as both go, so the nearer end of the two is a
 * boundary in either log. Without that epoch (KIP-279) only the own epochs say where a batch ends: the cut is at the
 * end of an older one, and the next fetch asks again.
 */
export function cutFor(log: ReplicaLog, divergence: Divergence): Offset {
  const own = log.epochs.endOf(divergence.leaderEpoch, log.end);
  if (own.leaderEpoch !== divergence.leaderEpoch) return own.endOffset;
  return own.endOffset < divergence.endOffset ? own.endOffset : divergence.endOffset;
}

/** Cuts the book at `cut` and ends every flush in flight: from now on their generation is an old one (L9). */
export function truncateLog(log: ReplicaLog, cut: Offset): void {
  assert(cut <= log.end, "a cut does not lengthen the log");
  log.end = cut;
  if (log.flushed > cut) log.flushed = cut;
  log.epochs.truncate(cut);
  log.generation = (log.generation + 1) as FlushGeneration;
}

/**
 * Takes back what was ordered at or above `from` and never written: no flush of it can be in flight. Not below the log
 * start: the book has forgotten what leader epochs there were.
 */
export function takeBack(log: ReplicaLog, from: Offset): void {
  assert(from >= log.flushed, "what is flushed was written");
  assert(from >= log.start, "what is forgotten is not taken back");
  log.end = from;
  // An epoch that begins at the end stays, as in the log: its leader wrote nothing yet.
  log.epochs.truncate((from + 1n) as Offset);
}

/**
 * Throws everything away and starts anew at `offset`: what lies below is not to be had any more. That is not on the disk
 * yet. Until a flush says so, a crash leaves the log that there was, and a leader with it would give offsets out again.
 */
export function restartLog(log: ReplicaLog, offset: Offset): void {
  log.start = offset;
  log.end = offset;
  if (log.flushed > offset) log.flushed = offset;
  log.epochs.clear();
  log.generation = (log.generation + 1) as FlushGeneration;
}

/**
 * Forgets what lies below `logStart`, which is at most the log end. What is flushed stays what it was, also below it: a
 * crash leaves a log that ends there.
 */
export function moveLogStart(log: ReplicaLog, logStart: Offset): void {
  assert(logStart <= log.end, "a log does not start above its end");
  log.start = logStart;
  log.epochs.advanceStart(logStart);
}
