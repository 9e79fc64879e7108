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
  /** 0 at a root, and no more than `depthMax`. */
  readonly depth: number;
}

/** What lies deeper is drawn no further to the right: a drawing has an edge. */
export const depthMax = 40;

/**
 * The spans of a trace as they are drawn: each below its parent, in the order in which they began. One whose parent is
 * not there stands as a root.
 */
export function rowsOf(spans: readonly TraceSpan[]): readonly TraceRow[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const ordered = inOrder(spans);
  const children = Map.groupBy(ordered, ({ parentId }) =>
    parentId !== undefined && ids.has(parentId) ? parentId : undefined,
  );
  const rows: TraceRow[] = [];
  const drawn = new Set<string>();
  const drawBelow = (root: TraceSpan) => {
    // No recursion: how deep a trace is says who made it, and a stack has an end.
    const waiting: TraceRow[] = [{ span: root, depth: 0 }];
    for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
      const { span, depth } = row;
      if (drawn.has(span.spanId)) continue;
      drawn.add(span.spanId);
      rows.push(row);
      const below = children.get(span.spanId) ?? [];
      for (let at = below.length - 1; at >= 0; at--) {
        const child = below[at];
        if (child !== undefined) waiting.push({ span: child, depth: Math.min(depth + 1, depthMax) });
      }
    }
  };
  for (const root of children.get(undefined) ?? []) drawBelow(root);
  // A circle of parents has no root; those that were not drawn come last.
  for (const span of ordered) drawBelow(span);
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

/** The longest of these texts. 0 of none. */
export function longestOf(texts: Iterable<string>): number {
  let longest = 0;
  for (const { length } of texts) longest = Math.max(longest, length);
  return longest;
}

/**
 * What a terminal or an XML reader would take for something else than text: control characters, also those that turn the
 * direction of writing, halves of pairs, and what is no character at all.
 */
const notText = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]/gu;

/** A name or a value that somebody else chose, on one line, with nothing in it but text: the rest as `\u001b`. */
export function plainText(given: string): string {
  return given.replace(notText, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
