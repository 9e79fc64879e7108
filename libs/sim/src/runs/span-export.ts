import { type KeptSpan, otlpJson, spanNames } from "@tidemark/telemetry";

/** Where the spans of one run go. */
export interface SpanExport {
  take(span: KeptSpan): void;
  /** Writes what is left, and tells what was written and what to look at. */
  end(): string;
}

/** So many spans become one line. */
const spansInLine = 500;

/** So many traces are named at the end. */
const namedMax = 10;

/** What a run is looked at for: why a leader changed. */
const named: ReadonlySet<string> = new Set([spanNames.election, spanNames.controllerElection]);

/** `write` takes lines without their break. `file`: its name, for people. */
export function createSpanExport(write: (line: string) => void, file: string): SpanExport {
  let waiting: KeptSpan[] = [];
  let spans = 0;
  const traces = new Set<string>();
  const elections: string[] = [];
  const flush = () => {
    if (waiting.length > 0) write(otlpJson(waiting));
    waiting = [];
  };
  return {
    take(span) {
      const { traceId } = span.spanContext();
      waiting.push(span);
      spans += 1;
      traces.add(traceId);
      if (named.has(span.name) && span.parentSpanContext === undefined) elections.push(`${traceId}  ${span.name}`);
      if (waiting.length >= spansInLine) flush();
    },
    end() {
      flush();
      const shown = elections.slice(0, namedMax);
      const more = elections.length > shown.length ? [`  and ${elections.length - shown.length} more`] : [];
      return [
        `${spans} spans of ${traces.size} traces in ${file}, of which elections:`,
        ...shown.map((line) => `  ${line}`),
        ...more,
        `  npx tidemark trace show ID --file ${file}`,
      ].join("\n");
    },
  };
}
