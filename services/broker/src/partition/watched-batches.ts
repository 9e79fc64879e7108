/** What happens to the batches of a partition that are recorded. Costs nothing while there is none. */
import type { BrokerId, Offset } from "@tidemark/ids";
import type { TraceEvent } from "@tidemark/replication";
import type { FlushedFetch, ReplicaTrace } from "../replication/replica-exchange.ts";
import type { ReplicaState } from "./replica-state.ts";
import type { FlushedEvent, Timeline, WrittenEvent } from "./timeline.ts";

/** Follows one batch from its append until nobody waits for it any more, which with acks none is before it can begin. */
export function createWatch(replica: ReplicaState, timeline: Timeline) {
  let isOver = false;
  return {
    begin: ({ baseOffset, recordCount }: { readonly baseOffset: Offset; readonly recordCount: number }): void => {
      if (isOver) return;
      timeline.appendedMs = replica.shared.clock.monotonicMs();
      replica.watched.push({ upTo: (baseOffset + BigInt(recordCount)) as Offset, timeline });
    },
    end: (): void => {
      isOver = true;
      replica.watched = replica.watched.filter((each) => each.timeline !== timeline);
    },
  };
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
const noTraces: readonly ReplicaTrace[] = [];

/**
 * A follower is handed records from `from` on. Returns what it is to know of those that are recorded, also of one that
 * it was sent before and is not seen to have flushed: the answer may not have reached its end.
 */
export function noteSent(
  { watched, shared }: ReplicaState,
  read: { readonly replica: BrokerId; readonly from: Offset },
): readonly ReplicaTrace[] {
  if (watched.length === 0) return noTraces;
  const traces: ReplicaTrace[] = [];
  for (const { upTo, timeline } of watched) {
    if (read.from >= upTo || traces.length === tracesMax) continue;
    let times = timeline.replicas.get(read.replica);
    if (times === undefined) {
      const sentMs = shared.clock.monotonicMs();
      times = { sentMs, span: timeline.beginReplicate(read.replica, sentMs), isLinked: false, flushedMs: undefined };
      timeline.replicas.set(read.replica, times);
    }
    if (times.flushedMs === undefined) traces.push({ traceparent: times.span.traceparent, endOffset: upTo });
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
  replica.heardMs ??= new Map();
  replica.heardMs.set(report.replica, shared.clock.monotonicMs());
  for (const { upTo, timeline } of watched) {
    const times = timeline.replicas.get(report.replica);
    if (times === undefined || upTo > report.flushed) continue;
    times.flushedMs ??= shared.clock.monotonicMs();
    if (times.isLinked) continue;
    const fetch = fetchedIn.find(({ endOffset }) => upTo <= endOffset);
    if (fetch === undefined) continue;
    times.span.link(fetch.traceparent);
    times.isLinked = true;
  }
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
