/**
 * The follower's part of a produce: one span for what an answer of the leader brought, which serves many batches, and
 * for each batch that the leader records its share of it, below the leader's own span, with append and flush.
 */
import {
  attributeNames,
  extractTraceContext,
  formatTraceparent,
  messagingSystem,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { FetchedBatches, PartitionShared } from "../partition/replica-state.ts";
import type { Flushed } from "../partition/timeline.ts";
import { recordWrite } from "./write-spans.ts";

/** Makes the spans when all that was fetched is flushed. They are recorded without a draw: the leader's call was. */
export function createFetchSpans(tracer: Tracer): PartitionShared["onFetched"] {
  return ({ topic, index }, fetched, flushed) => {
    if (!tracer.enabled) return undefined;
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
      endMs: flushed.atMs,
      attributes: { ...place, [attributeNames.bytes]: fetched.bytes },
    });
    for (const { traceparent } of fetched.traces) {
      const parent = extractTraceContext({ traceparent, tracestate: undefined });
      if (parent !== undefined) recordShare(tracer, { parent, fetch, place, fetched, flushed });
    }
    return formatTraceparent(fetch);
  };
}

function recordShare(
  tracer: Tracer,
  of: {
    readonly parent: TraceContext;
    readonly fetch: TraceContext;
    readonly place: Readonly<Record<string, string | number>>;
    readonly fetched: FetchedBatches;
    readonly flushed: Flushed;
  },
): void {
  const { fetched, flushed, parent, fetch, place: attributes } = of;
  const [startMs, endMs] = [fetched.receivedMs, flushed.atMs];
  const share = tracer.record({ name: spanNames.replicaReceive, parent, startMs, endMs, attributes, links: [fetch] });
  recordWrite(tracer, share, { startMs, written: fetched.written, flushed });
}
