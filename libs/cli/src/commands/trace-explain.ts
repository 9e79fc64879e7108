import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createNodeRuntime } from "@tidemark/runtime";
import { type Command, InvalidArgumentError, Option } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { jaegerUrl, UsageError } from "../settings.ts";
import type { Culprit } from "../trace/explain/blame.ts";
import { explainTraces } from "../trace/explain/explain.ts";
import { JaegerError, readJaeger, searchJaeger } from "../trace/read-jaeger.ts";
import { readOtlp, TraceFormatError } from "../trace/read-otlp.ts";
import { plainText, type TraceSpan } from "../trace/span.ts";
import { numberBetween } from "./arguments.ts";
import { type Finish, withExample } from "./command.ts";

interface ExplainFlags {
  readonly jaeger?: string;
  readonly file?: string;
  readonly minutes: number;
  readonly since?: Date;
  readonly limit: number;
  readonly output: "text" | "json";
}

/** A year. */
const minutesMax = 366 * 24 * 60;
/** What one answer of Jaeger's can hold; a store may be set to less, and says so. */
const tracesMax = 10_000;

/** `tidemark trace explain`. */
export function addExplain(trace: Command, io: Io, finish: Finish): void {
  const explain = trace
    .command("explain")
    .description("name who made traces slow: a disk, a network, a process that did not run, or the consensus backend")
    .argument("[ids...]", "traces, 32 hexadecimal digits each (default: all of the last minutes)")
    .addOption(
      new Option("-o, --output <format>", "for people or for programs").choices(["text", "json"]).default("text"),
    )
    .option("--jaeger <url>", "where Jaeger's pages are (default: jaeger.url of the settings)")
    .option("--file <path>", "a file of OTLP's JSON form, in place of Jaeger")
    .option("--minutes <count>", "how far back traces are searched for", numberBetween(1, minutesMax), 10)
    .addOption(new Option("--since <time>", "the same as a time: 2027-01-31T13:00:00Z").argParser(pointInTime))
    .option(
      "--limit <count>",
      "traces of each service that are looked at, the latest",
      numberBetween(1, tracesMax),
      500,
    );
  withExample(
    explain,
    "tidemark trace explain --minutes 5 --jaeger http://localhost:16686",
    "tidemark trace explain 4bf92f3577b34da6a3ce929d0e0e4736 --file spans.json",
  ).action(async (ids: readonly string[], flags: ExplainFlags) => {
    finish(await explainAll(io, ids, flags));
  });
}

function pointInTime(text: string): Date {
  const time = new Date(text);
  // Much else is a date to JavaScript, as 5 is May of 2001.
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(time.getTime()))
    throw new InvalidArgumentError("Give a time as 2027-01-31T13:00:00Z.");
  return time;
}

async function explainAll(io: Io, given: readonly string[], flags: ExplainFlags): Promise<number> {
  const ids = [...new Set(given.map((id) => id.toLowerCase()))];
  const wrong = ids.find((id) => !/^[0-9a-f]{32}$/.test(id));
  if (wrong !== undefined) throw new UsageError(`"${wrong}" is no trace id: it has 32 hexadecimal digits.`);
  try {
    const spans = await readSpans(io, ids, flags);
    if (spans.length === 0) {
      io.stderr.write("tidemark: there is no such trace: none was sampled, has arrived yet, or is still there\n");
      return exitCodes.failed;
    }
    show(io, spans, flags);
    return exitCodes.done;
  } catch (error) {
    if (!(error instanceof JaegerError || error instanceof TraceFormatError)) throw error;
    io.stderr.write(`tidemark: ${error.message}\n`);
    return exitCodes.failed;
  }
}

async function readSpans(io: Io, ids: readonly string[], flags: ExplainFlags): Promise<readonly TraceSpan[]> {
  const { file, minutes, limit } = flags;
  if (file !== undefined) {
    const spans = readOtlp(readText(resolve(io.workingDirectory, file)));
    return ids.length === 0 ? spans : spans.filter(({ traceId }) => ids.includes(traceId));
  }
  const base = jaegerUrl(io, flags.jaeger);
  if (base === undefined) throw new UsageError("Say where the traces are: --jaeger URL, jaeger.url, or --file PATH.");
  if (ids.length > 0) return (await Promise.all(ids.map((id) => readJaeger(base, id, io.interrupted)))).flat();
  const untilMs = createNodeRuntime().clock.wallMs();
  const search = { from: flags.since ?? new Date(untilMs - minutes * 60_000), until: new Date(untilMs), limit };
  return searchJaeger(base, search, io.interrupted);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function show(io: Io, spans: readonly TraceSpan[], { output }: ExplainFlags): void {
  const culprits = explainTraces(spans);
  const traces = new Set(spans.map(({ traceId }) => traceId)).size;
  if (output === "json") {
    printJson(io, { traces, culprits });
    return;
  }
  const [first, ...others] = culprits;
  if (first === undefined) {
    print(io, `Nothing took long in ${traces} ${traces === 1 ? "trace" : "traces"}.`);
    return;
  }
  print(io, `${nameOf(first)}, in ${traces} ${traces === 1 ? "trace" : "traces"}:`);
  for (const { text, traceId } of first.evidence) print(io, `  ${traceId}  ${plainText(text)}`);
  if (others.length > 0) print(io, `Less of it: ${others.slice(0, 3).map(nameOf).join("; ")}.`);
}

function nameOf({ process, part, ms }: Culprit): string {
  return `${plainText(process)}, ${part}: ${ms.toFixed(0)} ms`;
}
