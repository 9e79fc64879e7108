import { extentOf, formatMs, longestOf, plainText, rowsOf, type TraceRow, type TraceSpan } from "./span.ts";

/** What a drawing shows beside names and times. */
export interface DrawOptions {
  /** Columns of the whole drawing. */
  readonly width: number;
  /** Whether every attribute is shown below its span. */
  readonly withAttributes: boolean;
}

const barLeast = 20;

/** A trace as a waterfall in text, a line for each span, with the spans that it links to. */
export function drawText(spans: readonly TraceSpan[], { width, withAttributes }: DrawOptions): readonly string[] {
  const rows = rowsOf(spans);
  const extent = extentOf(spans);
  const processes = new Set(spans.map(({ process }) => plainText(process)));
  const named = rows.map((row) => `${"  ".repeat(row.depth)}${plainText(row.span.name)}`);
  const columns = {
    name: longestOf(named),
    process: longestOf(processes),
    start: formatMs(extent.nanos).length,
  };
  const barWidth = Math.max(barLeast, width - columns.name - columns.process - 2 * columns.start - 8);
  const lines = rows.flatMap((row, index) => {
    const { span } = row;
    const line = [
      (named[index] ?? "").padEnd(columns.name),
      plainText(span.process).padEnd(columns.process),
      formatMs(span.startNanos - extent.startNanos).padStart(columns.start),
      formatMs(span.endNanos - span.startNanos).padStart(columns.start),
      bar(span, extent, barWidth),
    ].join("  ");
    return [line.trimEnd(), ...notesOf(row, withAttributes)];
  });
  const [first] = spans;
  const count = `${spans.length} ${spans.length === 1 ? "span" : "spans"}`;
  const who = `${processes.size} ${processes.size === 1 ? "process" : "processes"}`;
  return [`trace ${first?.traceId ?? ""}: ${count} of ${who}, ${formatMs(extent.nanos)}`, ...lines];
}

/** Where a span lies within its trace: at least one mark, however short it is. */
function bar(span: TraceSpan, extent: { readonly startNanos: bigint; readonly nanos: bigint }, width: number): string {
  const whole = Math.max(1, Number(extent.nanos));
  const from = Math.min(width - 1, Math.floor((Number(span.startNanos - extent.startNanos) / whole) * width));
  const length = Math.round((Number(span.endNanos - span.startNanos) / whole) * width);
  return `${" ".repeat(from)}${"#".repeat(Math.max(1, Math.min(width - from, length)))}`;
}

function notesOf({ span, depth }: TraceRow, withAttributes: boolean): readonly string[] {
  const indent = "  ".repeat(depth + 1);
  const notes = span.links.map((link) => `${indent}-> links to ${link.traceId} ${link.spanId}`);
  if (span.error !== undefined) notes.unshift(`${indent}! ${span.error === "" ? "failed" : plainText(span.error)}`);
  if (withAttributes)
    for (const [name, value] of span.attributes) notes.push(`${indent}${plainText(`${name}=${value}`)}`);
  return notes;
}
