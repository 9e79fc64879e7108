import type { TraceSpan } from "../span.ts";

/** The spans of one trace, each with what is below it. */
export interface TraceTree {
  readonly spans: readonly TraceSpan[];
  childrenOf(span: TraceSpan, name?: string): readonly TraceSpan[];
  parentOf(span: TraceSpan): TraceSpan | undefined;
  named(name: string): readonly TraceSpan[];
}

/** One tree for each trace, in the order in which they are first met. */
export function treesOf(spans: readonly TraceSpan[]): readonly TraceTree[] {
  const traces = new Map<string, TraceSpan[]>();
  for (const span of spans) {
    const trace = traces.get(span.traceId) ?? [];
    traces.set(span.traceId, trace);
    trace.push(span);
  }
  return [...traces.values()].map(treeOf);
}

function treeOf(spans: readonly TraceSpan[]): TraceTree {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const children = Map.groupBy(spans, ({ parentId }) => parentId);
  return {
    spans,
    childrenOf: ({ spanId }, name) =>
      (children.get(spanId) ?? []).filter((child) => name === undefined || child.name === name),
    parentOf: ({ parentId }) => (parentId === undefined ? undefined : byId.get(parentId)),
    named: (name) => spans.filter((span) => span.name === name),
  };
}

export function msOf({ startNanos, endNanos }: TraceSpan): number {
  return Number(endNanos - startNanos) / 1e6;
}

/** From `before` to `after`, in milliseconds. */
export function betweenMs(before: bigint, after: bigint): number {
  return Number(after - before) / 1e6;
}

/** Undefined where the span does not have it. */
export function attributeOf(span: TraceSpan, name: string): string | undefined {
  return span.attributes.find(([each]) => each === name)?.[1];
}

/** Undefined where the span does not have it, or it is no number. */
export function numberOf(span: TraceSpan, name: string): number | undefined {
  const value = Number(attributeOf(span, name) ?? Number.NaN);
  return Number.isNaN(value) ? undefined : value;
}
