import type { Start } from "@tidemark/client";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type RecordFormat, renderRecords } from "../consume/render.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { writeFully } from "../output.ts";
import { watchTopic } from "../topics/missing-topic.ts";
import { positiveNumber, wholeNumber } from "./arguments.ts";
import {
  type Finish,
  type OutputFormat,
  runWithClient,
  type ServerFlags,
  type Session,
  withExample,
  withServer,
} from "./command.ts";

interface ConsumeFlags extends ServerFlags {
  readonly partition?: number;
  readonly from: Start;
  readonly max?: number;
  readonly untilEnd: boolean;
  readonly format?: RecordFormat;
}

/** `tidemark consume`. */
export function addConsumeCommand(program: Command, io: Io, finish: Finish): void {
  const consume = program
    .command("consume")
    .description("read records; goes on until Ctrl-C unless --max or --until-end is given")
    .argument("<topic>", "the topic")
    .option("--partition <number>", "read this partition only (default: all)", wholeNumber)
    .addOption(new Option("--from <where>", "earliest, latest, or an offset").argParser(parseStart).default("earliest"))
    .option("--max <count>", "end after so many records", positiveNumber)
    .option("--until-end", "end at the high watermarks found at the start", false)
    .addOption(
      new Option(
        "--format <format>",
        "text; json: one object a line; raw: each value and one \\n (default: text, json with -o json)",
      ).choices(["text", "json", "raw"]),
    );
  withExample(
    withServer(consume),
    "tidemark consume orders --from earliest --until-end --format raw > orders.txt",
    "tidemark consume orders --partition 0 --from 1500 --max 10 --format json",
  ).action(async (topic: string, flags: ConsumeFlags) => {
    finish(await runWithClient(io, flags, (session) => run(io, topic, flags, session)));
  });
}

function parseStart(text: string): Start {
  if (text === "earliest" || text === "latest") return text;
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError("Write earliest, latest or an offset from 0 on.");
  return { offset: BigInt(text) };
}

async function run(io: Io, topic: string, flags: ConsumeFlags, { client }: Session): Promise<number> {
  const consumer = client.createConsumer({
    topic,
    from: flags.from,
    untilEnd: flags.untilEnd,
    ...(flags.partition === undefined ? {} : { partitions: [flags.partition] }),
  });
  const format = formatOf(flags.format, flags.output);
  let left = flags.max ?? Number.POSITIVE_INFINITY;
  const watch = watchTopic(client, topic, io.interrupted);
  for await (const { partition, records } of consumer.batches(watch.signal)) {
    const wanted = records.length > left ? records.slice(0, left) : records;
    await writeFully(io, renderRecords(format, { topic, partition, records: wanted }));
    left -= wanted.length;
    if (left <= 0) return exitCodes.done;
  }
  watch.throwIfMissing();
  return io.interrupted.aborted ? exitCodes.interrupted : exitCodes.done;
}

function formatOf(format: RecordFormat | undefined, output: OutputFormat): RecordFormat {
  return format ?? (output === "json" ? "json" : "text");
}
