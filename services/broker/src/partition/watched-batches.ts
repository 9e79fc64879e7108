/** What happens to the batches of a partition that are recorded. Costs nothing while there is none. */
import type { BrokerId, Offset } from "@tidemark/ids";
import type { TraceEvent } from "@tidemark/replication";
import { type FlushedFetch, noTraces, type ReplicaTrace } from "../replication/replica-exchange.ts";
import type { ReplicaState, WatchedBatch } from "./replica-state.ts";
import type { FlushedEvent, Timeline, WrittenEvent } from "./timeline.ts";

/** How long followers are watched behind the end of the wait, in milliseconds. */
export const followedMs = 30_000;
/** How long the name of the fetch is waited for, once the follower is seen to have flushed a batch, in milliseconds. */
export const namedMs = 2000;
/** Batches that nobody waits for any more and that are watched at most: beyond it the oldest go. */
export const followedMax = 128;

/** Follows one batch from its append until nobody waits for it any more and its followers have it. */
export function createWatch(replica: ReplicaState, timeline: Timeline) {
  const { clock } = replica.shared;
  let settledMs: number | undefined;
  return {
    begin: ({ baseOffset, recordCount }: { readonly baseOffset: Offset; readonly recordCount: number }): void => {
      timeline.appendedMs = clock.monotonicMs();
      const upTo = (baseOffset + BigInt(recordCount)) as Offset;
      // With acks none the wait is over before it can begin.
      replica.watched.push({ upTo, timeline, settledMs });
      if (settledMs !== undefined) letGo(replica, settledMs);
    },
    settled: (): void => {
      settledMs ??= clock.monotonicMs();
      const batch = replica.watched.find((each) => each.timeline === timeline);
      if (batch === undefined) return;
      batch.settledMs = settledMs;
      letGo(replica, settledMs);
    },
  };
}

/** Ends the watch of batches that nobody waits for where nothing more is to be seen, or has not been for long. */
export function letGo(replica: ReplicaState, nowMs: number): void {
  if (replica.watched.length === 0) return;
  const settled = replica.watched.filter(({ settledMs }) => settledMs !== undefined);
  if (settled.length === 0) return;
  const isOver = replica.isOver || replica.machine.role !== "leader";
  const gone = new Set(
    settled.filter(
      (batch, index) =>
        isOver ||
        index < settled.length - followedMax ||
        nowMs - (batch.settledMs ?? nowMs) >= followedMs ||
        hasArrived(replica, batch, nowMs),
    ),
  );
  end(replica, gone, nowMs);
}

/** The log did not take what was appended from there on: other batches come at these offsets, in the same leader epoch. */
export function noteTakenBack(replica: ReplicaState, from: Offset): void {
  if (replica.watched.length === 0) return;
  const gone = new Set(replica.watched.filter(({ upTo }) => upTo > from));
  end(replica, gone, replica.shared.clock.monotonicMs());
}

function end(replica: ReplicaState, gone: ReadonlySet<WatchedBatch>, nowMs: number): void {
  if (gone.size === 0) return;
  replica.watched = replica.watched.filter((batch) => !gone.has(batch));
  for (const { timeline } of gone)
    for (const { span, flushedMs } of timeline.replicas.values()) span.end(flushedMs ?? nowMs);
}

/**
 * Whoever is in sync was sent it, and whoever was sent it has flushed it, and said in which fetch it came. Who records
 * nothing never says that.
 */
function hasArrived(
  { metadata, shared }: ReplicaState,
  { timeline: { replicas } }: WatchedBatch,
  nowMs: number,
): boolean {
  const inSync = metadata?.isr ?? [];
  if (inSync.some((member) => member !== shared.self && !replicas.has(member))) return false;
  for (const { isLinked, flushedMs } of replicas.values())
    if (flushedMs === undefined || !(isLinked || nowMs - flushedMs >= namedMs)) return false;
  return true;
}

export function noteWritten({ watched }: ReplicaState, event: WrittenEvent, nowMs: number): void {
  for (const { upTo, timeline } of watched)
    if (upTo <= event.upTo) timeline.written ??= { atMs: nowMs, group: event.group };
}

export function noteFlushed({ watched }: ReplicaState, event: FlushedEvent, nowMs: number): void {
  for (const { upTo, timeline } of watched)
    if (upTo <= event.upTo) timeline.flushed ??= { atMs: nowMs, syncMs: event.syncMs };
}

/** What one answer tells its follower at most. */
const tracesMax = 32;

/** Records that were read for a follower. */
export interface SentRecords {
  readonly replica: BrokerId;
  readonly from: Offset;
  /** First offset behind them. */
  readonly upTo: Offset;
  /** When the reading began, on the monotonic clock. */
  readonly sentMs: number;
}

/**
 * Returns what the follower is to know of those that are recorded, also of one that it was sent before and is not seen to
 * have flushed: it may be sent again since it did not arrive.
 */
export function noteSent({ watched }: ReplicaState, sent: SentRecords): readonly ReplicaTrace[] {
  if (watched.length === 0) return noTraces;
  const { replica, sentMs } = sent;
  const traces: ReplicaTrace[] = [];
  for (const { upTo, timeline } of watched) {
    if (upTo <= sent.from || upTo > sent.upTo) continue;
    let times = timeline.replicas.get(replica);
    if (times === undefined) {
      // A reading that waits for the disk may find what was appended meanwhile.
      const beginMs = Math.max(sentMs, timeline.appendedMs);
      times = { span: timeline.beginReplicate(replica, beginMs), isLinked: false, flushedMs: undefined };
      timeline.replicas.set(replica, times);
    }
    if (times.flushedMs !== undefined || traces.length === tracesMax) continue;
    traces.push({ traceparent: times.span.traceparent, endOffset: upTo });
  }
  return traces;
}

/**
 * A follower says how far it has flushed. `fetchedIn`: the recorded fetches that brought it, by their end offsets. They may
 * come behind another message that told of the same position.
 */
export function noteReport(
  replica: ReplicaState,
  report: { readonly replica: BrokerId; readonly flushed: Offset },
  fetchedIn: readonly FlushedFetch[],
): void {
  const { watched, shared } = replica;
  const nowMs = shared.clock.monotonicMs();
  replica.heardMs ??= new Map();
  replica.heardMs.set(report.replica, nowMs);
  if (watched.length === 0) return;
  for (const { upTo, timeline } of watched) {
    const times = timeline.replicas.get(report.replica);
    if (times === undefined || upTo > report.flushed) continue;
    times.flushedMs ??= nowMs;
    if (times.isLinked) continue;
    const fetch = fetchedIn.find(({ startOffset, endOffset }) => startOffset < upTo && upTo <= endOffset);
    if (fetch === undefined) continue;
    times.span.link(fetch.traceparent);
    times.isLinked = true;
  }
  letGo(replica, nowMs);
}

export function noteHighWatermark(
  { watched, shared, machine }: ReplicaState,
  { from, to, last }: Extract<TraceEvent, { kind: "highWatermark" }>,
): void {
  const passed = watched.filter(({ upTo, timeline }) => upTo <= to && timeline.highWatermark === undefined);
  if (passed.length === 0) return;
  const atMs = shared.clock.monotonicMs();
  const maximalIsr = machine.view(atMs).leadership?.maximalIsr ?? [];
  for (const { timeline } of passed) timeline.highWatermark = { atMs, from, to, last, maximalIsr };
}
