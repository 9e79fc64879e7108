/** What happens to the batches of a partition that are recorded. Costs nothing while there is none. */
import type { BrokerId, Offset } from "@tidemark/ids";
import type { TraceEvent } from "@tidemark/replication";
import type { ReplicaState } from "./replica-state.ts";
import type { Timeline } from "./timeline.ts";

export function watch(
  replica: ReplicaState,
  batch: { readonly baseOffset: Offset; readonly recordCount: number; readonly timeline: Timeline },
): void {
  const { baseOffset, recordCount, timeline } = batch;
  timeline.appendedMs = replica.shared.clock.monotonicMs();
  replica.watched.push({ upTo: (baseOffset + BigInt(recordCount)) as Offset, timeline });
}

export function unwatch(replica: ReplicaState, timeline: Timeline | undefined): void {
  replica.watched = replica.watched.filter((each) => each.timeline !== timeline);
}

export function noteWritten({ watched }: ReplicaState, written: Offset, nowMs: number): void {
  for (const { upTo, timeline } of watched) if (upTo <= written) timeline.writtenMs ??= nowMs;
}

export function noteFlushed({ watched }: ReplicaState, flushed: Offset, nowMs: number): void {
  for (const { upTo, timeline } of watched) if (upTo <= flushed) timeline.flushedMs ??= nowMs;
}

/** A follower is handed records from `from` on. */
export function noteSent(
  { watched, shared }: ReplicaState,
  read: { readonly replica: BrokerId; readonly from: Offset },
): void {
  for (const { upTo, timeline } of watched) {
    if (read.from >= upTo || timeline.replicas.has(read.replica)) continue;
    timeline.replicas.set(read.replica, { sentMs: shared.clock.monotonicMs(), flushedMs: undefined });
  }
}

/** A follower says how far it has flushed. */
export function noteReport(
  { watched, shared }: ReplicaState,
  report: { readonly replica: BrokerId; readonly flushed: Offset },
): void {
  for (const { upTo, timeline } of watched) {
    const times = timeline.replicas.get(report.replica);
    if (times !== undefined && upTo <= report.flushed) times.flushedMs ??= shared.clock.monotonicMs();
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
