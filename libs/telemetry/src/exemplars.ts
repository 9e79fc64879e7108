import type { Clock } from "@tidemark/runtime";
import type { Labels } from "./metrics.ts";
import type { TraceContext } from "./trace-context.ts";

/** A value that a histogram took, and the span that it was measured in. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** The last recorded trace in each bucket of each series, by which one comes from a slow bucket to why it was slow. */
export interface Exemplars {
  /** `boundaries`: upper ends of the buckets, in rising order. A trace that is not recorded is not noted. */
  note(of: {
    readonly histogram: string;
    readonly labels: Labels;
    readonly boundaries: readonly number[];
    readonly value: number;
    readonly trace: TraceContext;
  }): void;
  /** `labels`: those of a bucket as Prometheus has them, `le` among them. */
  find(histogram: string, labels: Readonly<Record<string, string>>): Exemplar | undefined;
}

/** More buckets than the suite's metrics have. One more is left out: a label that grows must not fill the memory. */
const maxBuckets = 2000;

export function createExemplars(clock: Clock): Exemplars {
  const last = new Map<string, Exemplar>();
  return {
    note({ histogram, labels, boundaries, value, trace }) {
      if (!trace.sampled) return;
      const le = boundaries.find((boundary) => value <= boundary);
      const key = keyOf(histogram, { ...labels, le: le ?? "+Inf" });
      if (last.size >= maxBuckets && !last.has(key)) return;
      const { traceId, spanId } = trace;
      last.set(key, { traceId, spanId, value, atMs: clock.wallMs() });
    },
    find: (histogram, labels) => last.get(keyOf(histogram, labels)),
  };
}

function keyOf(histogram: string, labels: Labels): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([histogram, ...sorted.map(([name, value]) => [name, String(value)])]);
}
