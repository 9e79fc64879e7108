/**
 * OpenMetrics 1.0, the text format that has exemplars, made from Prometheus' older one, which OpenTelemetry's library
 * writes. They differ in little: the family of a counter is named without `_total` and that of `target_info` without
 * `_info`, a bucket's end is written as a number with a point, nothing is empty, and the end is said.
 */
import type { Exemplar, Exemplars } from "./exemplars.ts";

export const openMetricsFormat = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/**
 * Whether a scraper that sends this `accept` header wants OpenMetrics: it names the format, in a version that is written
 * here, and wants the older one no more than that.
 */
export function wantsOpenMetrics(accept: string | undefined): boolean {
  const wishes = (accept ?? "").split(",").map(readWish);
  const most = (type: string) =>
    Math.max(0, ...wishes.filter((wish) => wish.type === type).map(({ weight }) => weight));
  const own = most("application/openmetrics-text");
  return own > 0 && own >= most("text/plain");
}

interface Wish {
  readonly type: string;
  /** From 0, not wanted, to 1. */
  readonly weight: number;
}

const knownVersions: readonly (string | undefined)[] = [undefined, "0.0.1", "1.0.0"];

function readWish(text: string): Wish {
  const [type = "", ...parameters] = text.split(";").map((each) => each.trim().toLowerCase());
  const valueOf = (name: string) => parameters.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
  const weight = Number(valueOf("q") ?? 1);
  const isKnown = type !== "application/openmetrics-text" || knownVersions.includes(valueOf("version"));
  return { type, weight: isKnown && weight <= 1 ? weight : 0 };
}

/** `text`: of Prometheus' text format 0.0.4, the comments of a family before its samples. */
export function toOpenMetrics(text: string, exemplars: Pick<Exemplars, "find">): string {
  const types = new Map(
    Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = "", type = ""]) => [name, type]),
  );
  const lines = text.split("\n").filter((line) => line !== "" && (!line.startsWith("#") || commentForm.test(line)));
  const rewrite = (line: string) => {
    const [, keyword, name = "", rest = ""] = commentForm.exec(line) ?? [];
    if (keyword === undefined) return withExemplar(line, exemplars);
    const isInfo = name === "target_info";
    const family = isInfo || types.get(name) === "counter" ? name.replace(/_(total|info)$/, "") : name;
    if (keyword === "TYPE") return `# TYPE ${family} ${isInfo ? "info" : rest}`;
    return `# ${keyword} ${family} ${keyword === "HELP" ? rest.replaceAll('"', '\\"') : rest}`;
  };
  return [...lines.map(rewrite), "# EOF", ""].join("\n");
}

const commentForm = /^# (HELP|TYPE|UNIT) (\S+) (.*)$/;
const bucketForm = /^(\w+)_bucket\{(.*)\} (\S+)$/;
const labelForm = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A sample as it stands; that of a bucket with its canonical end, and with its exemplar where it has one. */
function withExemplar(line: string, exemplars: Pick<Exemplars, "find">): string {
  const [, histogram, text = "", count] = bucketForm.exec(line) ?? [];
  if (histogram === undefined) return line;
  const labels = Object.fromEntries(
    Array.from(text.matchAll(labelForm), ([, name = "", value = ""]) => [name, unescape(value)]),
  );
  const exemplar = exemplars.find(histogram, labels);
  const bucket = `${histogram}_bucket{${text.replace(/\ble="(\d+)"/, 'le="$1.0"')}} ${count}`;
  return exemplar === undefined ? bucket : `${bucket} # ${formatExemplar(exemplar)}`;
}

function unescape(value: string): string {
  return value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

function formatExemplar({ traceId, spanId, value, atMs }: Exemplar): string {
  return `{trace_id="${traceId}",span_id="${spanId}"} ${value} ${(atMs / 1000).toFixed(3)}`;
}
