import { extentOf, formatMs, plainText, rowsOf, type TraceSpan } from "./span.ts";

const rowHeight = 22;
const nameWidth = 330;
const barWidth = 640;
const margin = 12;
const headHeight = 46;
/** A process keeps its colour within one drawing; the next ones begin anew. */
const colours = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e"];

/** Traces as one waterfall each, below each other, in one SVG document. */
export function drawSvg(traces: readonly (readonly TraceSpan[])[]): string {
  const processes = [...new Set(traces.flatMap((spans) => spans.map(({ process }) => process)))];
  const colourOf = (process: string) => colours[processes.indexOf(process) % colours.length] ?? "#888888";
  const parts: string[] = [];
  let top = margin;
  for (const spans of traces) {
    for (const part of drawTrace(spans, top, colourOf)) parts.push(part);
    top += headHeight + spans.length * rowHeight + margin;
  }
  const width = nameWidth + barWidth + 2 * margin;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" font-family="monospace" font-size="12">`,
    `<rect width="${width}" height="${top}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function drawTrace(spans: readonly TraceSpan[], top: number, colourOf: (process: string) => string): readonly string[] {
  const extent = extentOf(spans);
  const whole = Math.max(1, Number(extent.nanos));
  const left = margin + nameWidth;
  const parts = [
    text(margin, top + 16, `trace ${spans[0]?.traceId ?? ""}`, ' font-weight="bold"'),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
      const at = left + share * barWidth;
      const bottom = top + headHeight + spans.length * rowHeight;
      const anchor = share === 1 ? ' text-anchor="end"' : "";
      return [
        `<line x1="${at}" y1="${top + headHeight - 8}" x2="${at}" y2="${bottom}" stroke="#dddddd"/>`,
        text(at, top + headHeight - 12, formatMs(BigInt(Math.round(share * whole))), `${anchor} fill="#666666"`),
      ];
    }),
  ];
  for (const [index, { span, depth }] of rowsOf(spans).entries()) {
    const y = top + headHeight + index * rowHeight;
    const from = left + (Number(span.startNanos - extent.startNanos) / whole) * barWidth;
    const length = Math.max(1.5, (Number(span.endNanos - span.startNanos) / whole) * barWidth);
    const tip = [`${span.name} of ${span.process}, ${formatMs(span.endNanos - span.startNanos)}`, ...noteLines(span)];
    parts.push(
      "<g>",
      `<title>${tip.map(escape).join("\n")}</title>`,
      text(
        margin + depth * 14,
        y + 15,
        `${span.name} (${span.process})`,
        span.error === undefined ? "" : ' fill="#c00000"',
      ),
      `<rect x="${from.toFixed(1)}" y="${y + 4}" width="${length.toFixed(1)}" height="${rowHeight - 8}" fill="${colourOf(span.process)}"/>`,
      "</g>",
    );
  }
  return parts;
}

function noteLines(span: TraceSpan): readonly string[] {
  return [
    ...(span.error === undefined ? [] : [`failed: ${span.error}`]),
    ...span.attributes.map(([name, value]) => `${name}=${value}`),
    ...span.links.map(({ traceId, spanId }) => `links to ${traceId} ${spanId}`),
  ];
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x}" y="${y}"${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return plainText(content).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
