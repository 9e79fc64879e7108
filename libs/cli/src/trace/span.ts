/** A span as a reader of traces has it, whichever way it came. */
export interface TraceSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Undefined at the root of a trace. */
  readonly parentId: string | undefined;
  readonly name: string;
  /** Which process made it: `broker-1`; its service where it does not say. */
  readonly process: string;
  /** Nanoseconds since 1970. */
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly links: readonly SpanLink[];
  /** What went wrong; undefined where nothing did. */
  readonly error: string | undefined;
}

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
}

/** A span's place in its trace. */
export interface TraceRow {
  readonly span: TraceSpan;
  /** 0 at a root. */
  readonly depth: number;
}

/**
 * The spans of a trace as they are drawn: each below its parent, in the order in which they began. One whose parent is
 * not there stands as a root.
 */
export function rowsOf(spans: readonly TraceSpan[]): readonly TraceRow[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const children = new Map<string | undefined, TraceSpan[]>();
  for (const span of spans) {
    const parent = span.parentId !== undefined && ids.has(span.parentId) ? span.parentId : undefined;
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const rows: TraceRow[] = [];
  // A circle of parents would have no root; those that were not drawn come last, each by itself.
  const drawn = new Set<string>();
  const draw = (span: TraceSpan, depth: number) => {
    if (drawn.has(span.spanId)) return;
    drawn.add(span.spanId);
    rows.push({ span, depth });
    for (const child of inOrder(children.get(span.spanId) ?? [])) draw(child, depth + 1);
  };
  for (const root of inOrder(children.get(undefined) ?? [])) draw(root, 0);
  for (const span of inOrder(spans)) draw(span, 0);
  return rows;
}

function inOrder(spans: readonly TraceSpan[]): readonly TraceSpan[] {
  return [...spans].sort((left, right) => {
    if (left.startNanos !== right.startNanos) return left.startNanos < right.startNanos ? -1 : 1;
    return left.spanId < right.spanId ? -1 : 1;
  });
}

/** From the first start to the last end. */
export function extentOf(spans: readonly TraceSpan[]): { readonly startNanos: bigint; readonly nanos: bigint } {
  const [first] = spans;
  if (first === undefined) return { startNanos: 0n, nanos: 0n };
  let { startNanos, endNanos } = first;
  for (const span of spans) {
    if (span.startNanos < startNanos) startNanos = span.startNanos;
    if (span.endNanos > endNanos) endNanos = span.endNanos;
  }
  return { startNanos, nanos: endNanos - startNanos };
}

/** Milliseconds with as many places as tell something. */
export function formatMs(nanos: bigint): string {
  const ms = Number(nanos) / 1e6;
  return ms >= 100 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}
