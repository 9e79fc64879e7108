import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fromErrorDetail } from "@tidemark/client";
import { traceIdTrailer } from "@tidemark/telemetry";
import { type Command, Option } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { jaegerUrl, UsageError } from "../settings.ts";
import { drawSvg } from "../trace/draw-svg.ts";
import { drawText } from "../trace/draw-text.ts";
import { JaegerError, readJaeger } from "../trace/read-jaeger.ts";
import { readOtlp, TraceFormatError } from "../trace/read-otlp.ts";
import type { TraceSpan } from "../trace/span.ts";
import { numberBetween, wholeNumber } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";
import { addExplain } from "./trace-explain.ts";

interface JaegerFlags {
  readonly jaeger?: string;
}

interface ProduceFlags extends ServerFlags, JaegerFlags {
  readonly partition?: number;
  readonly text: string;
}

interface ShowFlags extends JaegerFlags {
  readonly output: "text" | "svg" | "json";
  readonly file?: string;
  readonly links: boolean;
  readonly attributes: boolean;
  readonly width: number;
}

/** Traces that the links of one lead to: more are only named. */
const linkedMax = 8;

/** `tidemark trace produce`, `tidemark trace show` and `tidemark trace explain`. */
export function addTraceCommands(program: Command, io: Io, finish: Finish): void {
  const trace = program.command("trace").description("make and draw traces");
  addProduce(trace, io, finish);
  addShow(trace, io, finish);
  addExplain(trace, io, finish);
}

function withJaeger(command: Command): Command {
  return command.option("--jaeger <url>", "where Jaeger's pages are (default: jaeger.url of the settings)");
}

function addProduce(trace: Command, io: Io, finish: Finish): void {
  const produce = trace
    .command("produce")
    .description("produce one test record that is traced, and name its trace")
    .argument("<topic>")
    .option("--partition <index>", "where to (default: any)", wholeNumber)
    .option("--text <text>", "the record", "a traced test record");
  withExample(withJaeger(withServer(produce)), "tidemark trace produce orders --jaeger http://localhost:16686").action(
    async (topic: string, flags: ProduceFlags) => {
      finish(await runWithClient(io, flags, (session) => produceTraced(io, topic, flags, session)));
    },
  );
}

async function produceTraced(
  io: Io,
  topic: string,
  flags: ProduceFlags,
  { client, call }: Parameters<Parameters<typeof runWithClient>[2]>[0],
): Promise<number> {
  const traceId = newTraceId();
  const traceparent = `00-${traceId}-${randomBytes(8).toString("hex")}-01`;
  const { partition, text } = flags;
  const record = { valueForm: { case: "text", value: text } } as const;
  const request = { topic, records: [record], ...(partition === undefined ? {} : { partition }) };
  // Before anything is stored: a setting that is wrong leaves nothing behind.
  const base = jaegerUrl(io, flags.jaeger);
  let recorded: string | undefined;
  const onTrailers = (trailers: { get(key: string): string | undefined }) => (recorded = trailers.get(traceIdTrailer));
  const answer = await client.log.produce(request, { ...call, traceparent, onTrailers });
  const [stored] = answer.results;
  if (stored?.error !== undefined) throw fromErrorDetail(stored.error, stored.message);
  if (recorded !== traceId) {
    io.stderr.write(
      "tidemark: nobody recorded this trace: say where spans go where the services start (OTEL_EXPORTER_OTLP_ENDPOINT), " +
        "and not OTEL_TRACES_SAMPLER=always_off\n",
    );
  }
  const link = base === undefined ? undefined : new URL(`trace/${traceId}`, withSlash(base)).href;
  if (flags.output === "json") {
    printJson(io, { traceId, topic, partition: stored?.partition, offset: stored?.baseOffset, link });
    return exitCodes.done;
  }
  print(io, `Stored as ${topic}-${stored?.partition ?? 0} offset ${stored?.baseOffset ?? 0n}.`);
  print(io, `trace ${traceId}`);
  if (link !== undefined) print(io, link);
  return exitCodes.done;
}

/** An id that samplers by trace id take, whatever their ratio: the exclusive or of its four words, which they go by, is 0. */
function newTraceId(): string {
  const id = randomBytes(16);
  id.writeInt32BE(id.readInt32BE(0) ^ id.readInt32BE(4) ^ id.readInt32BE(8), 12);
  return id.toString("hex");
}

function withSlash(base: string): string {
  return base.endsWith("/") ? base : `${base}/`;
}

function addShow(trace: Command, io: Io, finish: Finish): void {
  const show = trace
    .command("show")
    .description("draw a trace as a waterfall, and those that it links to")
    .argument("<id>", "32 hexadecimal digits")
    .addOption(
      new Option("-o, --output <format>", "for a terminal, a page, or a program")
        .choices(["text", "svg", "json"])
        .default("text"),
    )
    .option("--file <path>", "a file of OTLP's JSON form, in place of Jaeger")
    .option("--no-links", "leave out the traces that it links to")
    .option("--attributes", "show every attribute below its span", false)
    .option("--width <columns>", "of the drawing in a terminal", numberBetween(20, 10_000), 120);
  withExample(
    withJaeger(show),
    "tidemark trace show 4bf92f3577b34da6a3ce929d0e0e4736 --jaeger http://localhost:16686",
    "tidemark trace show 4bf92f3577b34da6a3ce929d0e0e4736 -o svg > trace.svg",
  ).action(async (id: string, flags: ShowFlags) => {
    finish(await showTrace(io, id.toLowerCase(), flags));
  });
}

async function showTrace(io: Io, id: string, flags: ShowFlags): Promise<number> {
  if (!/^[0-9a-f]{32}$/.test(id)) throw new UsageError(`"${id}" is no trace id: it has 32 hexadecimal digits.`);
  try {
    const read = reader(io, flags);
    const asked = await read(id);
    if (asked.length === 0) {
      io.stderr.write(`tidemark: there is no trace ${id}: it was not sampled, has not arrived yet, or is gone\n`);
      return exitCodes.failed;
    }
    const linked = flags.links ? await linkedTo(io, asked, read) : [];
    draw(io, [asked, ...linked], flags);
    return exitCodes.done;
  } catch (error) {
    if (!(error instanceof JaegerError || error instanceof TraceFormatError)) throw error;
    io.stderr.write(`tidemark: ${error.message}\n`);
    return exitCodes.failed;
  }
}

type ReadTrace = (id: string) => Promise<readonly TraceSpan[]>;

function reader(io: Io, flags: ShowFlags): ReadTrace {
  const { file } = flags;
  if (file !== undefined) {
    const spans = readOtlp(readText(resolve(io.workingDirectory, file)));
    return (id) => Promise.resolve(spans.filter(({ traceId }) => traceId === id));
  }
  const base = jaegerUrl(io, flags.jaeger);
  if (base === undefined) throw new UsageError("Say where the trace is: --jaeger URL, jaeger.url, or --file PATH.");
  return (id) => readJaeger(base, id, io.interrupted);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** One that cannot be read is told of, and does not keep the others from being drawn. */
async function linkedTo(
  io: Io,
  spans: readonly TraceSpan[],
  read: ReadTrace,
): Promise<readonly (readonly TraceSpan[])[]> {
  const own = spans[0]?.traceId;
  const ids = new Set(spans.flatMap(({ links }) => links.map(({ traceId }) => traceId)));
  const others = [...ids].filter((id) => id !== own).slice(0, linkedMax);
  const readLinked = async (id: string): Promise<readonly TraceSpan[]> => {
    try {
      return await read(id);
    } catch (error) {
      if (!(error instanceof JaegerError)) throw error;
      io.stderr.write(`tidemark: ${error.message}\n`);
      return [];
    }
  };
  const traces = await Promise.all(others.map(readLinked));
  return traces.filter(({ length }) => length > 0);
}

function draw(io: Io, traces: readonly (readonly TraceSpan[])[], flags: ShowFlags): void {
  switch (flags.output) {
    case "svg":
      io.stdout.write(drawSvg(traces));
      return;
    case "json":
      printJson(io, { traces });
      return;
    case "text":
      for (const [index, spans] of traces.entries()) {
        if (index > 0) print(io, "");
        for (const line of drawText(spans, { width: flags.width, withAttributes: flags.attributes })) print(io, line);
      }
  }
}
