import type { AcksName, ProducerOptions } from "@tidemark/client";
import { type Command, Option } from "commander";
import {
  type FailoverMeasured,
  type Measured,
  measureConsume,
  measureEndToEnd,
  measureFailover,
  measureProduce,
} from "../bench/measure.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { positiveNumber, timeSpan, valueSize } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, type Session, withExample, withServer } from "./command.ts";

interface LoadFlags extends ServerFlags {
  readonly size: number;
  readonly acks?: AcksName;
  readonly compression: NonNullable<ProducerOptions["compression"]>;
}

interface CountedFlags extends LoadFlags {
  readonly records: number;
}

interface FailoverFlags extends LoadFlags {
  readonly duration: number;
}

/** Pauses that are told of. */
const pausesTold = 5;

/** `tidemark bench produce|consume|end-to-end|failover`. */
export function addBenchCommands(program: Command, io: Io, finish: Finish): void {
  const bench = program.command("bench").description("measure a cluster from here");
  const run = (flags: ServerFlags, work: (session: Session) => Promise<Measured | FailoverMeasured>) =>
    runWithClient(io, flags, async (session) => {
      const result = await work(session);
      if (flags.output === "json") printJson(io, result);
      else for (const line of linesOf(result)) print(io, line);
      if (io.interrupted.aborted) return exitCodes.interrupted;
      return result.failed === 0 ? exitCodes.done : exitCodes.failed;
    });
  const loadOf = (topic: string, flags: LoadFlags, { settings }: Session) => ({
    topic,
    size: flags.size,
    producer: { acks: flags.acks ?? settings.acks, compression: flags.compression },
    signal: io.interrupted,
  });

  withExample(
    withRecords(bench.command("produce").description("store records as fast as they are acknowledged"), 100_000),
    "tidemark bench produce orders --records 1000000 --size 200 --compression zstd",
  ).action(async (topic: string, flags: CountedFlags) => {
    const work = (session: Session) =>
      measureProduce(session.client, { ...loadOf(topic, flags, session), records: flags.records });
    finish(await run(flags, work));
  });
  withExample(
    withServer(withTopic(bench.command("consume").description("read what is there, from its beginning"))).option(
      "--records <count>",
      "end after so many records (default: all that are there)",
      positiveNumber,
    ),
    "tidemark bench consume orders",
  ).action(async (topic: string, flags: ServerFlags & { readonly records?: number }) => {
    const { records = Number.POSITIVE_INFINITY } = flags;
    finish(await run(flags, ({ client }) => measureConsume(client, { topic, records, signal: io.interrupted })));
  });
  withExample(
    withRecords(bench.command("end-to-end").description("store one record at a time and read it back"), 1000),
    "tidemark bench end-to-end orders --records 5000",
  ).action(async (topic: string, flags: CountedFlags) => {
    const work = (session: Session) =>
      measureEndToEnd(session.client, { ...loadOf(topic, flags, session), records: flags.records });
    finish(await run(flags, work));
  });
  withExample(
    withLoad(
      bench.command("failover").description("store one record at a time, and say how long none was acknowledged"),
    )
      .addOption(new Option("--duration <time>", "how long").argParser(timeSpan).default(30_000, "30s"))
      .addHelpText("after", "\nTake brokers away meanwhile: the longest pauses are what a producer sees of it."),
    "tidemark bench failover orders --duration 60s -o json",
  ).action(async (topic: string, flags: FailoverFlags) => {
    const work = (session: Session) =>
      measureFailover(session.client, {
        ...loadOf(topic, flags, session),
        durationMs: flags.duration,
        pauses: pausesTold,
      });
    finish(await run(flags, work));
  });
}

function withTopic(command: Command): Command {
  return command.argument("<topic>", "a topic that is there; what is stored stays in it");
}

function withRecords(command: Command, records: number): Command {
  return withLoad(command).option("--records <count>", "how many", positiveNumber, records);
}

function withLoad(command: Command): Command {
  return withServer(withTopic(command))
    .option("--size <bytes>", "bytes of a value", valueSize, 200)
    .addOption(
      new Option("--acks <who>", "who must have a record before it counts (default: all)").choices([
        "none",
        "leader",
        "all",
      ]),
    )
    .addOption(
      new Option("--compression <codec>", "how batches are compressed")
        .choices(["none", "gzip", "snappy", "lz4", "zstd"])
        .default("none"),
    );
}

function linesOf(result: Measured | FailoverMeasured): readonly string[] {
  const { records, failed, failures, seconds, latency } = result;
  const ms = (value: number) => `${value.toFixed(2)} ms`;
  const rate =
    "pausesMs" in result
      ? `longest without an ack: ${result.pausesMs.map(ms).join(", ")}`
      : `${Math.round(result.recordsPerSecond)} records/s, ${result.megabytesPerSecond.toFixed(1)} MB/s`;
  return [
    `${records} records in ${seconds.toFixed(2)} s, ${failed} not acknowledged`,
    ...failures,
    rate,
    `latency: p50 ${ms(latency.p50Ms)}, p99 ${ms(latency.p99Ms)}, most ${ms(latency.maxMs)}`,
  ];
}
