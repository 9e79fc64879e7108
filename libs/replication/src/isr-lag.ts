import type { Offset } from "@tidemark/ids";
import type { ReplicationGuards } from "./guards.ts";
import type { ReplicaProgress } from "./replica-progress.ts";
import type { ReplicationSettings } from "./settings.ts";

/**
 * Who falls out of sync and who is in sync again (R5, R9).
 *
 * A replica was caught up at time t when everything that the leader's log held at t is flushed there now. The leader
 * keeps one sample (log end, time) for each replica until it is reached, so that a replica which is always a few
 * milliseconds behind a busy log counts as caught up those few milliseconds ago, however often it reports.
 */
export interface LeaderEnd {
  readonly logEnd: Offset;
  readonly nowMs: number;
}

/** The election grants each follower one full lag time from now (R9). */
export function startLagClock(progress: ReplicaProgress, leader: LeaderEnd): void {
  progress.caughtUpMs = leader.nowMs;
  progress.sampleOffset = leader.logEnd;
  progress.sampleMs = leader.nowMs;
}

/**
 * The leader itself stood still for `pauseMs` until now: nothing was observed meanwhile, so that time does not count. Not a
 * lag time anew: a leader that stands still again and again would never find anybody lagging.
 */
export function passOver(progress: ReplicaProgress, pauseMs: number, nowMs: number): void {
  progress.caughtUpMs = Math.min(progress.caughtUpMs + pauseMs, nowMs);
  progress.sampleMs = Math.min(progress.sampleMs + pauseMs, nowMs);
}

/** Takes notice of a report: call it after the position was recorded. */
export function noteReport(progress: ReplicaProgress, leader: LeaderEnd): void {
  if (progress.flushed === undefined) return;
  if (progress.flushed >= leader.logEnd) progress.caughtUpMs = leader.nowMs;
  else if (progress.flushed >= progress.sampleOffset) progress.caughtUpMs = progress.sampleMs;
  else return;
  progress.sampleOffset = leader.logEnd;
  progress.sampleMs = leader.nowMs;
}

/** The leader's log grows from `endBefore`: whoever had everything begins to lag now, and not at its last report. */
export function noteAppend(progress: ReplicaProgress, endBefore: Offset, leader: LeaderEnd): void {
  if (progress.flushed === undefined || progress.flushed < endBefore) return;
  startLagClock(progress, leader);
}

/** Milliseconds for which the replica has not been caught up; 0 while it has everything. */
export function lagMs(progress: ReplicaProgress, leader: LeaderEnd): number {
  if (progress.flushed !== undefined && progress.flushed >= leader.logEnd) return 0;
  return leader.nowMs - progress.caughtUpMs;
}

/** Why an ISR member has to leave, in words; undefined while it may stay. */
export function reasonToRemove(
  progress: ReplicaProgress,
  leader: LeaderEnd & { readonly highWatermark: Offset; readonly settings: ReplicationSettings },
): string | undefined {
  const { replica } = progress;
  if (progress.lost) return `${replica} lost what it had reported`;
  if (progress.verified !== undefined && progress.verified < leader.highWatermark) {
    return `${replica} lacks committed records from ${progress.verified} on`;
  }
  const lag = lagMs(progress, leader);
  if (lag > leader.settings.lagTimeMaxMs) return `${replica} not caught up for ${Math.floor(lag)} ms`;
  const { lagRecordsMax } = leader.settings;
  if (lagRecordsMax === undefined || progress.flushed === undefined) return undefined;
  const records = leader.logEnd - progress.flushed;
  return records > BigInt(lagRecordsMax) ? `${replica} lags ${records} records` : undefined;
}

/** A replica outside the ISR may return: it flushed up to the high watermark and the start of this leader epoch (R5). */
export function mayReturn(
  progress: ReplicaProgress,
  leader: {
    readonly logEnd: Offset;
    readonly highWatermark: Offset;
    readonly epochStart: Offset;
    readonly settings: ReplicationSettings;
    readonly guards: ReplicationGuards;
  },
): boolean {
  if (!progress.proven || progress.flushed === undefined || progress.flushed < leader.highWatermark) return false;
  if (leader.guards.reentryAfterEpochStart && progress.flushed < leader.epochStart) return false;
  const { lagRecordsMax } = leader.settings;
  return lagRecordsMax === undefined || leader.logEnd - progress.flushed <= BigInt(lagRecordsMax);
}
