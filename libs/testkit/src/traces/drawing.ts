/**
 * Traces as text of which two are alike where their traces are: each span by its name and the kind of process that made
 * it, below its parent, with what it links to. Times, ids and which of several brokers it was are left out.
 *
 * ```
 * tidemark.produce @client
 *   broker produce @broker
 *     replicate @broker -> replica fetch @broker
 * ```
 */
import type { ReceivedSpan } from "../otlp-decode.ts";

/** How often each drawing occurs among the traces of these spans. */
export function drawTraces(spans: readonly ReceivedSpan[]): ReadonlyMap<string, number> {
  const byId = new Map(spans.map((span) => [idOf(span), span]));
  const children = new Map<string, ReceivedSpan[]>();
  const roots: ReceivedSpan[] = [];
  for (const span of spans) {
    const parent = span.parentSpanId === undefined ? undefined : `${span.traceId} ${span.parentSpanId}`;
    if (parent === undefined || !byId.has(parent)) roots.push(span);
    else children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const draw = (span: ReceivedSpan): readonly string[] => {
    const links = [...new Set(span.links.map((link) => linkText(byId.get(idOf(link)))))].sort();
    const counted = span.links.length > 1 ? ` x${span.links.length}` : "";
    const link = links.length === 0 ? "" : ` -> ${links.join(", ")}${counted}`;
    const error = span.error === undefined ? "" : ` ! ${span.error}`;
    const below = (children.get(idOf(span)) ?? []).map(draw).sort(byText);
    return [`${labelOf(span)}${link}${error}`, ...below.flat().map((line) => `  ${line}`)];
  };
  const counts = new Map<string, number>();
  for (const root of roots) {
    // A parent that is in no store: the caller's own span.
    const called = root.parentSpanId === undefined ? "" : "(called) ";
    const text = `${called}${draw(root).join("\n")}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

/** A drawing as a test writes it: the lines of a template, without its margin. Siblings are in the order of their texts. */
export function drawing(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const margin = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(margin).trimEnd()).join("\n");
}

function labelOf({ name, resource }: ReceivedSpan): string {
  const service = resource["service.name"];
  return `${name} @${typeof service === "string" ? service.replace("tidemark-", "") : "unknown"}`;
}

function linkText(target: ReceivedSpan | undefined): string {
  return target === undefined ? "nothing" : labelOf(target);
}

function idOf({ traceId, spanId }: { readonly traceId: string; readonly spanId: string }): string {
  return `${traceId} ${spanId}`;
}

function byText(one: readonly string[], other: readonly string[]): number {
  const [left, right] = [one.join("\n"), other.join("\n")];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
