/**
 * What a leader knows of one follower.
 *
 * | state     | sends                                             | leaves by                                          |
 * |-----------|---------------------------------------------------|----------------------------------------------------|
 * | probe     | one append, then waits for its answer or a heartbeat's | accepted -> replicate; `next` forgotten -> snapshot |
 * | replicate | appends without waiting, within the in-flight limits | rejected, unreachable -> probe; `next` forgotten -> snapshot |
 * | snapshot  | one piece, then waits                             | the follower has the snapshot -> replicate; the snapshot is gone -> probe |
 *
 * 1. `match` only grows: all up to it is flushed at the follower and as the leader has it.
 * 2. `match < next`.
 */

import { indexAfter, type LogIndex, noIndex } from "./ids.ts";
import type { Inflight } from "./inflight.ts";
import { createInflight } from "./inflight.ts";
import type { SnapshotMeta } from "./start-state.ts";

export type Replication =
  | { readonly kind: "probe"; waits: boolean }
  | { readonly kind: "replicate"; readonly inflight: Inflight; nudge: boolean }
  | { readonly kind: "snapshot"; readonly snapshot: SnapshotMeta; offset: number; waits: boolean; sentTick: number };

export interface Progress {
  match: LogIndex;
  next: LogIndex;
  /** The commit index that it was told last. */
  sentCommit: LogIndex;
  /** When something came from it last, in ticks of this node. */
  contactTick: number;
  /** Whether something came from it since this leader was elected. */
  contacted: boolean;
  /** The last round that it confirmed. */
  round: number;
  replication: Replication;
  catchUp: CatchUp;
}

/**
 * How long a learner takes to fetch what there was when it began (Raft thesis 4.2.1). One whose last round was shorter
 * than an election timeout holds up no commit when it becomes a voter.
 */
interface CatchUp {
  target: LogIndex;
  startTick: number;
  /** Undefined before the first round ended. */
  lastTicks: number | undefined;
}

export function createProgress(last: LogIndex, tick: number): Progress {
  return {
    match: noIndex,
    next: indexAfter(last),
    sentCommit: noIndex,
    contactTick: tick,
    contacted: false,
    round: 0,
    replication: { kind: "probe", waits: false },
    catchUp: { target: last, startTick: tick, lastTicks: undefined },
  };
}

export function becomeProbe(progress: Progress): void {
  progress.next = indexAfter(progress.match);
  progress.replication = { kind: "probe", waits: false };
}

export function becomeReplicate(progress: Progress): void {
  progress.next = indexAfter(progress.match);
  progress.replication = { kind: "replicate", inflight: createInflight(), nudge: false };
}

export function becomeSnapshot(progress: Progress, snapshot: SnapshotMeta, tick: number): void {
  progress.replication = { kind: "snapshot", snapshot, offset: 0, waits: false, sentTick: tick };
}

/** Takes up that the follower has all to `match`. True when that is news. */
export function raiseMatch(progress: Progress, match: LogIndex): boolean {
  if (match <= progress.match) return false;
  progress.match = match;
  if (progress.next <= match) progress.next = indexAfter(match);
  return true;
}

/** Ends a round of catching up when `match` has reached its target, and begins the next one. */
export function noteCatchUp(progress: Progress, last: LogIndex, tick: number): void {
  const { catchUp } = progress;
  if (progress.match < catchUp.target) return;
  catchUp.lastTicks = tick - catchUp.startTick;
  catchUp.target = last;
  catchUp.startTick = tick;
}
