import type { ReceivedSpan } from "@tidemark/testkit";

/** A stretch of time of which one span is the reason. */
export interface PathStep {
  readonly span: ReceivedSpan;
  readonly nanos: bigint;
}

/** They last as long as what they wait for, and do nothing themselves. */
const waits = new Set(["ack", "high watermark advance"]);

/**
 * What a span waited for, from its end back to its start: at each moment the child that ended last, and where no child was
 * under way the span itself. Clocks of several processes are compared as they are: a child that seems to end behind
 * its parent is cut there.
 */
export function criticalPath(root: ReceivedSpan, spans: readonly ReceivedSpan[]): readonly PathStep[] {
  const steps: PathStep[] = [];
  const walk = (span: ReceivedSpan, from: bigint, to: bigint) => {
    let cursor = to;
    const below = spans
      .filter(({ traceId, parentSpanId, name }) => {
        return traceId === span.traceId && parentSpanId === span.spanId && !waits.has(name);
      })
      .sort((left, right) => Number(right.endNanos - left.endNanos));
    for (const child of below) {
      const start = child.startNanos > from ? child.startNanos : from;
      const end = child.endNanos < cursor ? child.endNanos : cursor;
      if (end <= start) continue;
      if (cursor > end) steps.push({ span, nanos: cursor - end });
      walk(child, start, end);
      cursor = start;
    }
    if (cursor > from) steps.push({ span, nanos: cursor - from });
  };
  walk(root, root.startNanos, root.endNanos);
  return steps;
}
