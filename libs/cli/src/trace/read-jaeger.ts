import { readOtlp, TraceFormatError } from "./read-otlp.ts";
import type { TraceSpan } from "./span.ts";

/** Jaeger did not give what it was asked for. */
export class JaegerError extends Error {
  override readonly name = "JaegerError";
}

/**
 * Asks Jaeger's query API (`/api/v3`) for a trace. `base`: where Jaeger's pages are, http://host:16686. No spans: it has
 * no such trace. Throws JaegerError.
 */
export async function readJaeger(base: string, traceId: string, signal: AbortSignal): Promise<readonly TraceSpan[]> {
  const url = new URL(`api/v3/traces/${traceId}`, base.endsWith("/") ? base : `${base}/`);
  const answer = await ask(url, signal);
  if (answer.status === 404) return [];
  const text = await answer.text();
  if (!answer.ok) throw new JaegerError(`${url.href} answered ${answer.status}: ${text.slice(0, 200)}`);
  try {
    return readOtlp(text);
  } catch (error) {
    if (!(error instanceof TraceFormatError)) throw error;
    throw new JaegerError(`${url.href} answered with something else than a trace: ${error.message}`, { cause: error });
  }
}

async function ask(url: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) });
  } catch (error) {
    if (signal.aborted) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new JaegerError(`Jaeger does not answer at ${url.origin}: ${cause}`, { cause: error });
  }
}
