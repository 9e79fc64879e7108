import { attributeNames, spanNames, type TraceContext, type Tracer } from "@tidemark/telemetry";
import type { Flushed, Written } from "../partition/timeline.ts";

/**
 * The spans of what a log did with a batch, on the leader and on a follower alike: append until it could be read, flush
 * until it was on stable storage. What had not happened has no span, but that a flush tells that it was written before.
 */
export function recordWrite(
  tracer: Tracer,
  parent: TraceContext,
  batch: {
    /** When the log was handed the batch. */
    readonly startMs: number;
    readonly written: Written | undefined;
    readonly flushed: Flushed | undefined;
  },
): void {
  const { startMs, written, flushed } = batch;
  if (written === undefined && flushed === undefined) return;
  const writtenMs = Math.min(written?.atMs ?? Number.POSITIVE_INFINITY, flushed?.atMs ?? Number.POSITIVE_INFINITY);
  const group = written?.group;
  tracer.record({
    name: spanNames.append,
    parent,
    startMs,
    endMs: writtenMs,
    attributes: {
      [attributeNames.queueMs]: group && Math.max(0, writtenMs - startMs - group.writeMs),
      [attributeNames.writeMs]: group?.writeMs,
      [attributeNames.segment]: group?.segment,
      [attributeNames.position]: group?.position,
    },
  });
  if (flushed === undefined) return;
  tracer.record({
    name: spanNames.flush,
    parent,
    startMs: writtenMs,
    endMs: flushed.atMs,
    attributes: { [attributeNames.groupSize]: group?.batches, [attributeNames.syncMs]: flushed.syncMs },
  });
}
