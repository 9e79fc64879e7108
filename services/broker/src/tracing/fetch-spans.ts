/**
 * The follower's part of a produce: one span for what an answer of the leader brought, which serves many batches, and
 * for each batch that the leader records its share of it, below the leader's own span, with append and flush.
 */
import {
  attributeNames,
  extractTraceContext,
  messagingSystem,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { FetchedBatches, PartitionShared } from "../partition/replica-state.ts";

/** Makes the spans when all that was fetched is flushed. They are recorded without a draw: the leader's call was. */
export function createFetchSpans(tracer: Tracer): PartitionShared["onFetched"] {
  return ({ topic, index }, fetched, flushedMs) => {
    if (!tracer.enabled) return;
    const place = {
      [attributeNames.system]: messagingSystem,
      [attributeNames.topic]: topic,
      [attributeNames.partition]: String(index),
      [attributeNames.leader]: fetched.leader,
    };
    const fetch = tracer.record({
      name: spanNames.replicaFetch,
      parent: undefined,
      startMs: fetched.receivedMs,
      endMs: flushedMs,
      attributes: { ...place, [attributeNames.bytes]: fetched.bytes },
    });
    for (const { traceparent } of fetched.traces) {
      const parent = extractTraceContext({ traceparent, tracestate: undefined });
      if (parent !== undefined) recordShare(tracer, { parent, fetch, place, fetched, flushedMs });
    }
  };
}

function recordShare(
  tracer: Tracer,
  of: {
    readonly parent: TraceContext;
    readonly fetch: TraceContext;
    readonly place: Readonly<Record<string, string | number>>;
    readonly fetched: FetchedBatches;
    readonly flushedMs: number;
  },
): void {
  const { fetched, flushedMs: endMs } = of;
  const startMs = fetched.receivedMs;
  const writtenMs = Math.min(fetched.writtenMs ?? endMs, endMs);
  const { parent, fetch, place: attributes } = of;
  const share = tracer.record({ name: spanNames.replicaReceive, parent, startMs, endMs, attributes, links: [fetch] });
  tracer.record({ name: spanNames.append, parent: share, startMs, endMs: writtenMs });
  tracer.record({ name: spanNames.flush, parent: share, startMs: writtenMs, endMs });
}
