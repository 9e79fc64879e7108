import { digitsOf, type TraceSampler } from "./sampling.ts";
import type { TraceContext } from "./trace-context.ts";

/**
 * Contexts of work that is not recorded, each unlike the others. They are made for nearly every call, so ids are drawn once
 * and counted on from there.
 *
 * A sampler by trace id, in whatever process, takes none of them: the exclusive or of the id's four words, which it
 * compares with its ratio, is the largest there is.
 */
export function createUnsampled(sampler: Pick<TraceSampler, "newTraceId" | "newSpanId">): () => TraceContext {
  const drawn = sampler.newTraceId().slice(0, 16);
  const fixed = sampler.newSpanId().slice(0, 8);
  const rest = ~(Number.parseInt(drawn.slice(0, 8), 16) ^ Number.parseInt(drawn.slice(8), 16));
  let count = 0;
  return () => {
    // Never 0: an id of zeros means "no span".
    count = (count % 0xffffffff) + 1;
    const own = hexOf(count);
    return {
      traceId: `${drawn}${own}${hexOf(rest ^ count)}`,
      spanId: `${fixed}${own}`,
      sampled: false,
      traceState: undefined,
    };
  };
}

/** The eight digits of a 32-bit word. By a table: a quarter of what `toString` takes. */
function hexOf(word: number): string {
  return digitsOf(word >>> 24) + digitsOf((word >>> 16) & 0xff) + digitsOf((word >>> 8) & 0xff) + digitsOf(word & 0xff);
}
