/**
 * One follower of one partition, in one leader epoch.
 *
 * | input                     | does                                                                        |
 * |---------------------------|-----------------------------------------------------------------------------|
 * | (metadata)                | begins a session: asks from its log end, with its last leader epoch (R7, R8)|
 * | records                   | appends, takes the high watermark and log start, asks on                    |
 * | diverging                 | cuts by leader epoch, begins a session (KIP-101, KIP-279)                   |
 * | behind the log start      | restarts there, begins a session (L7)                                       |
 * | refused                   | waits, then begins a session                                                |
 * | an answer of an older session or leader epoch | drops it                                                |
 * | flushed                   | reports it at once, also while a fetch waits (R2)                           |
 * | no answer for long        | begins a session                                                            |
 */
import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import type { PartitionContext } from "./context.ts";
import { cutFor, type Divergence, moveLogStart, restartLog, truncateLog } from "./replica-log.ts";
import type { BatchRange, FetchSession, FetchSessions, ReplicaResponse } from "./replica-messages.ts";

export interface FollowerState {
  readonly context: PartitionContext;
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly sessions: FetchSessions;
  session: FetchSession;
  /** What the leader said last; the own high watermark is never above what is flushed here (R2). */
  leaderHighWatermark: Offset;
  /** A fetch is out since then. Undefined: none is. */
  askedMs: number | undefined;
  /** After an error answer nothing is asked before. */
  resumeMs: number;
  /** Error answers since the last other one. */
  refusals: number;
}

/** Follows `leader`. The log is left as it is: what has to be cut is for the leader to say (R8). */
export function becomeFollower(
  context: PartitionContext,
  sessions: FetchSessions,
  elected: { readonly leader: BrokerId; readonly leaderEpoch: LeaderEpoch; readonly nowMs: number },
): FollowerState {
  const { leader, leaderEpoch, nowMs } = elected;
  const { log, highWatermark, out } = context;
  out.trace.push({ kind: "becameFollower", leader, leaderEpoch, logEnd: log.end });
  const follower: FollowerState = {
    context,
    leader,
    leaderEpoch,
    sessions,
    session: sessions.next(),
    leaderHighWatermark: highWatermark,
    askedMs: undefined,
    resumeMs: nowMs,
    refusals: 0,
  };
  if (!context.guards.truncationByLeaderEpoch && log.end > highWatermark) truncate(follower, highWatermark);
  ask(follower, nowMs);
  return follower;
}

/** Begins a new session: the own positions may be lower than what was said in the one before. */
export function restartSession(follower: FollowerState, nowMs: number): void {
  follower.session = follower.sessions.next();
  ask(follower, nowMs);
}

/** Takes an answer of the leader. What is late, or of another leader epoch, is dropped (R7). */
export function replicaResponse(follower: FollowerState, response: ReplicaResponse, nowMs: number): void {
  const { content } = response;
  if (!isCurrent(follower, response)) return;
  follower.askedMs = undefined;
  if (content.kind !== "refused") follower.refusals = 0;
  switch (content.kind) {
    case "records":
      if (!takeRecords(follower, content, response)) {
        restartSession(follower, nowMs);
        return;
      }
      ask(follower, nowMs);
      return;
    case "diverging":
      cutAtDivergence(follower, content.divergence);
      restartSession(follower, nowMs);
      return;
    case "behindLogStart":
      // An answer to a late copy of an earlier fetch: the log has grown past it since.
      if (content.logStart <= follower.context.log.end) drop(follower, response, "not behind the log start");
      else restartAt(follower, content.logStart);
      restartSession(follower, nowMs);
      return;
    case "refused":
      follower.resumeMs = nowMs + pauseMs(follower);
      follower.refusals++;
      return;
  }
}

/** When it asks again after an error; undefined while a fetch is out. */
export function resumesAtMs({ askedMs, resumeMs }: FollowerState): number | undefined {
  return askedMs === undefined ? resumeMs : undefined;
}

function pauseMs({ refusals, context }: FollowerState): number {
  const { fetchRetryFirstMs, fetchRetryMs } = context.settings;
  return Math.min(fetchRetryMs, fetchRetryFirstMs * 2 ** Math.min(refusals, 16));
}

/** A flush of the own log reached `log.flushed`. */
export function followerFlushed(follower: FollowerState): void {
  const { log, brokerEpoch, self, out } = follower.context;
  const { leader, leaderEpoch, session } = follower;
  const position = { fetched: log.end, lastFetchedEpoch: log.epochs.latest() };
  const report = { replica: self, brokerEpoch, leaderEpoch, session, flushed: log.flushed, position };
  out.send.push({ kind: "flushedReport", leader, report });
  followHighWatermark(follower);
}

/** The own disk was full: asks again, a little later, for what could not be written. */
export function followerTookBack(follower: FollowerState, nowMs: number): void {
  follower.session = follower.sessions.next();
  follower.askedMs = undefined;
  follower.resumeMs = nowMs + follower.context.settings.fetchRetryMs;
}

/** Asks again after an error, and after silence. */
export function tickFollower(follower: FollowerState, nowMs: number): void {
  const { askedMs, context } = follower;
  const due = askedMs === undefined ? nowMs >= follower.resumeMs : nowMs - askedMs >= context.settings.fetchTimeoutMs;
  if (due) restartSession(follower, nowMs);
}

function ask(follower: FollowerState, nowMs: number): void {
  const { log, brokerEpoch, self, out } = follower.context;
  const { leader, leaderEpoch, session } = follower;
  follower.askedMs = nowMs;
  out.send.push({
    kind: "fetch",
    leader,
    fetch: {
      replica: self,
      brokerEpoch,
      leaderEpoch,
      session,
      fetchOffset: log.end,
      fetched: log.end,
      lastFetchedEpoch: log.epochs.latest(),
      flushed: log.flushed,
    },
  });
}

function isCurrent(follower: FollowerState, response: ReplicaResponse): boolean {
  if (!follower.context.guards.leaderEpochOnAppend) return true;
  const { leader, leaderEpoch, session } = follower;
  const { from } = response;
  if (from !== leader || response.leaderEpoch !== leaderEpoch)
    return drop(follower, response, "not of this leader epoch");
  if (response.session !== session) return drop(follower, response, "of an older session");
  return true;
}

function drop(follower: FollowerState, response: ReplicaResponse, why: string): false {
  follower.context.out.trace.push({ kind: "responseDropped", from: response.from, why });
  return false;
}

type Records = Extract<ReplicaResponse["content"], { kind: "records" }>;

/** False when the batches do not continue the log: an answer was lost on the way, or came twice. */
function takeRecords(follower: FollowerState, records: Records, response: ReplicaResponse): boolean {
  const { log } = follower.context;
  if (records.logStart > log.end) {
    restartAt(follower, records.logStart);
    return false;
  }
  const start = log.start;
  beginInsideBatch(follower, records.batches);
  if (!continues(follower, records.batches)) return drop(follower, response, "does not continue the log");
  append(follower, records.batches);
  if (log.start < start) advanceLogStart(follower, start);
  if (records.highWatermark > follower.leaderHighWatermark) follower.leaderHighWatermark = records.highWatermark;
  followHighWatermark(follower);
  if (records.logStart > log.start) advanceLogStart(follower, records.logStart);
  return true;
}

/** A log start may lie inside a batch. Who begins there begins with the whole batch, and with that log start (L7). */
function beginInsideBatch(follower: FollowerState, batches: readonly BatchRange[]): void {
  const { log, out } = follower.context;
  const first = batches[0];
  if (first === undefined || log.start !== log.end || first.baseOffset >= log.end || first.endOffset <= log.end) return;
  restartLog(log, first.baseOffset);
  out.persist.push({ kind: "restart", offset: log.start, generation: log.generation });
}

/**
 * Compaction leaves gaps (L7), so the first batch may begin above the follower's log end. Nothing can be missing there:
 * a session has one fetch at a time, from that log end on, and what answers an earlier one begins below it.
 */
function continues(follower: FollowerState, batches: readonly BatchRange[]): boolean {
  const { log } = follower.context;
  let end = log.end;
  let epoch = log.epochs.latest();
  for (const batch of batches) {
    if (batch.baseOffset < end || batch.endOffset <= batch.baseOffset) return false;
    if (batch.leaderEpoch < epoch || batch.leaderEpoch > follower.leaderEpoch) return false;
    end = batch.endOffset;
    epoch = batch.leaderEpoch;
  }
  return true;
}

function append(follower: FollowerState, batches: readonly BatchRange[]): void {
  const { log, out } = follower.context;
  const last = batches.at(-1);
  if (last === undefined) return;
  const baseOffset = log.end;
  for (const batch of batches) log.epochs.assign(batch.leaderEpoch, batch.baseOffset);
  log.end = last.endOffset;
  out.persist.push({ kind: "appendAsFollower", baseOffset, endOffset: log.end });
  out.trace.push({ kind: "fetched", baseOffset, endOffset: log.end });
}

function followHighWatermark(follower: FollowerState): void {
  const { context } = follower;
  const { flushed } = context.log;
  const reached = follower.leaderHighWatermark < flushed ? follower.leaderHighWatermark : flushed;
  if (reached > context.highWatermark) context.highWatermark = reached;
}

function advanceLogStart(follower: FollowerState, logStart: Offset): void {
  const { log, out } = follower.context;
  moveLogStart(log, logStart);
  out.persist.push({ kind: "advanceLogStart", logStart });
}

function cutAtDivergence(follower: FollowerState, divergence: Divergence): void {
  const { log } = follower.context;
  const cut = cutFor(log, divergence);
  // The leader has no epoch as old as the follower's last one, so its log begins behind all of it (L7). A cut to the
  // own start instead would leave the log shorter than what was committed, if this replica were elected right then.
  const nothingInCommon = divergence.leaderEpoch < 0 || log.epochs.latest() < 0 || cut < log.start;
  if (nothingInCommon) restartAt(follower, divergence.endOffset);
  else truncate(follower, cut);
}

function truncate(follower: FollowerState, cut: Offset): void {
  const { context } = follower;
  const { log, out } = context;
  const from = log.end;
  truncateLog(log, cut);
  out.persist.push({ kind: "truncate", cut, generation: log.generation });
  const belowHighWatermark = cut < context.highWatermark;
  if (belowHighWatermark) context.highWatermark = cut;
  if (follower.leaderHighWatermark > cut) follower.leaderHighWatermark = cut;
  out.trace.push({ kind: "truncated", from, to: cut, belowHighWatermark });
}

function restartAt(follower: FollowerState, offset: Offset): void {
  const { context } = follower;
  const { log, out } = context;
  const from = log.end;
  restartLog(log, offset);
  out.persist.push({ kind: "restart", offset, generation: log.generation });
  context.highWatermark = offset;
  follower.leaderHighWatermark = offset;
  out.trace.push({ kind: "restarted", from, at: offset });
}
