import { readOtlp, TraceFormatError } from "./read-otlp.ts";
import { plainText, type TraceSpan } from "./span.ts";

/** Jaeger did not give what it was asked for. */
export class JaegerError extends Error {
  override readonly name = "JaegerError";
}

/**
 * Asks Jaeger's query API (`/api/v3`) for a trace. `base`: where Jaeger's pages are, http://host:16686. No spans: it has
 * no such trace. Throws JaegerError.
 */
export async function readJaeger(base: string, traceId: string, signal: AbortSignal): Promise<readonly TraceSpan[]> {
  return spansAt(new URL(`api/v3/traces/${traceId}`, withSlash(base)), signal);
}

/** Which traces are searched for. */
export interface JaegerSearch {
  /** Those that began at or after this, and up to `until`. */
  readonly from: Date;
  readonly until: Date;
  /** Of each service, at most: the latest. */
  readonly limit: number;
}

/** The traces of every service of the suite that Jaeger knows. Throws JaegerError. */
export async function searchJaeger(
  base: string,
  { from, until, limit }: JaegerSearch,
  signal: AbortSignal,
): Promise<readonly TraceSpan[]> {
  const services = await servicesAt(new URL("api/v3/services", withSlash(base)), signal);
  // A trace of several services is found by each of them.
  const found = new Map<string, TraceSpan>();
  for (const service of services.filter((name) => name.startsWith("tidemark-"))) {
    const search = new URL("api/v3/traces", withSlash(base));
    search.searchParams.set("query.service_name", service);
    search.searchParams.set("query.start_time_min", from.toISOString());
    search.searchParams.set("query.start_time_max", until.toISOString());
    search.searchParams.set("query.num_traces", String(limit));
    for (const span of await spansAt(search, signal)) found.set(`${span.traceId} ${span.spanId}`, span);
  }
  return [...found.values()];
}

async function servicesAt(url: URL, signal: AbortSignal): Promise<readonly string[]> {
  const text = bodyOf(url, await ask(url, signal));
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw new JaegerError(`${url.href} answered with something else than JSON: is it Jaeger's?`, { cause: error });
  }
  const services = typeof answer === "object" && answer !== null && "services" in answer ? answer.services : [];
  return Array.isArray(services) ? services.filter((name) => typeof name === "string") : [];
}

async function spansAt(url: URL, signal: AbortSignal): Promise<readonly TraceSpan[]> {
  const answer = await ask(url, signal);
  if (answer.status === 404 && isJaegersError(answer.text)) return [];
  const text = bodyOf(url, answer);
  try {
    return readOtlp(text);
  } catch (error) {
    if (!(error instanceof TraceFormatError)) throw error;
    throw new JaegerError(`${url.href} answered with something else than a trace: ${error.message}`, { cause: error });
  }
}

/** Whoever else is there answers 404 to every path of Jaeger's, which would be taken for a trace that is not there. */
function isJaegersError(text: string): boolean {
  try {
    const answer = JSON.parse(text) as unknown;
    return typeof answer === "object" && answer !== null && "error" in answer;
  } catch {
    return false;
  }
}

function withSlash(base: string): string {
  return base.endsWith("/") ? base : `${base}/`;
}

/** An answer that came whole. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

function bodyOf(url: URL, { status, text }: Answer): string {
  if (status === 200) return text;
  throw new JaegerError(`${url.href} answered ${status}: ${plainText(text.trim().slice(0, 200))}`);
}

async function ask(url: URL, signal: AbortSignal): Promise<Answer> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    if (signal.aborted) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new JaegerError(`Jaeger does not answer at ${url.origin}: ${cause}`, { cause: error });
  }
}
