import { type AcksName, type Producer } from "@tidemark/client";
import { type Command, Option } from "commander";
import { tellError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { openInput } from "../produce/input.ts";
import { lineBytesMax } from "../produce/line-limit.ts";
import { produceLines } from "../produce/produce-lines.ts";
import { createProgress } from "../produce/progress.ts";
import { createTally, type Tally } from "../produce/tally.ts";
import { timeSpan, wholeNumber } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, type Session, withExample, withServer } from "./command.ts";

interface ProduceFlags extends ServerFlags {
  readonly file?: string;
  readonly keySeparator?: string;
  readonly partition?: number;
  readonly acks?: AcksName;
  readonly timeout?: number;
  readonly compression: "none" | "gzip" | "snappy" | "lz4" | "zstd";
}

/** After Ctrl-C: how long what was sent may still be answered. */
const graceMs = 1000;

/** `tidemark produce`. */
export function addProduceCommand(program: Command, io: Io, finish: Finish): void {
  const produce = program
    .command("produce")
    .description("store lines as records: one record a line, ended by \\n alone; bytes are kept as they are")
    .argument("<topic>", "the topic")
    .option("--file <path>", "read this file (default: standard input)")
    .option("--key-separator <text>", "what stands before it in a line is the key; a line without it has no key")
    .option("--partition <number>", "store everything here (default: by key, else in turn)", wholeNumber)
    .addOption(
      new Option("--acks <who>", "who must have a record before it counts (default: all)").choices([
        "none",
        "leader",
        "all",
      ]),
    )
    .option("--timeout <time>", "how long a record is sent again, such as 30s (default: 2m)", timeSpan)
    .addOption(
      new Option("--compression <codec>", "how batches are compressed")
        .choices(["none", "gzip", "snappy", "lz4", "zstd"])
        .default("none"),
    )
    .addHelpText(
      "after",
      `
A record whose outcome is retriable or unknown is sent again until the timeout. With acks all it is stored once, in the
order of the input; with others it may stand twice.
Ends with "acknowledged N, unknown N, failed N", also on Ctrl-C, and with exit code 0 only if all are acknowledged.`,
    );
  withExample(
    withServer(produce),
    "tidemark produce orders --file orders.txt",
    "echo 'k1:hello' | tidemark produce orders --key-separator :",
  ).action(async (topic: string, flags: ProduceFlags) => {
    if (flags.keySeparator === "") {
      io.stderr.write("tidemark: --key-separator is empty: give it at least one character.\n");
      finish(exitCodes.usage);
      return;
    }
    finish(await runWithClient(io, flags, (session) => run(io, topic, flags, session)));
  });
}

async function run(io: Io, topic: string, flags: ProduceFlags, { client, settings }: Session): Promise<number> {
  const producer = client.createProducer({
    acks: flags.acks ?? settings.acks,
    compression: flags.compression,
    deliveryTimeoutMs: flags.timeout ?? settings.deliveryTimeoutMs,
    requestTimeoutMs: settings.requestTimeoutMs,
  });
  const input = openInput(io, flags.file, io.interrupted);
  const tally = createTally();
  const timeoutMs = flags.timeout ?? settings.deliveryTimeoutMs;
  try {
    if (!(await prepareInTime(producer, topic, { timeoutMs, interrupted: io.interrupted }))) {
      report(io, tally, flags);
      return exitCodes.interrupted;
    }
  } catch (error) {
    tellError(io, error, { output: flags.output, server: settings.server });
    report(io, tally, flags);
    return exitCodes.failed;
  }
  const progress = createProgress(io, input.totalBytes, tally);
  const { keySeparator, partition } = flags;
  const rules = {
    topic,
    keySeparator: keySeparator === undefined ? undefined : Buffer.from(keySeparator),
    partition,
    lineBytesMax,
  };
  let bytes = 0;
  const onRead = (read: number) => {
    bytes += read;
    progress.show(bytes);
  };
  let inputError: unknown;
  try {
    await produceLines(input.bytes, producer, rules, { tally, onRead, signal: io.interrupted });
  } catch (error) {
    inputError = error;
  }
  await closeInTime(producer, io.interrupted);
  progress.stop();
  if (inputError !== undefined) tellError(io, inputError, { output: flags.output, server: settings.server });
  report(io, tally, flags);
  if (io.interrupted.aborted) return exitCodes.interrupted;
  return inputError === undefined && tally.unknown === 0 && tally.failed === 0 ? exitCodes.done : exitCodes.failed;
}

/** Learns of the topic. False once interrupted; throws after `timeoutMs`, as no record may wait longer. */
async function prepareInTime(
  producer: Producer,
  topic: string,
  { timeoutMs, interrupted }: { readonly timeoutMs: number; readonly interrupted: AbortSignal },
): Promise<boolean> {
  const over = AbortSignal.any([interrupted, AbortSignal.timeout(timeoutMs)]);
  const ended = new Promise<"over">((resolve) => {
    if (over.aborted) resolve("over");
    over.addEventListener("abort", () => resolve("over"), { once: true });
  });
  const first = await Promise.race([producer.prepare(topic).then(() => "prepared" as const), ended]);
  if (first === "prepared") return true;
  if (interrupted.aborted) return false;
  throw new Error(`Nothing could be learned of the topic ${topic} within ${timeoutMs} ms: nothing was sent`);
}

/** Waits for every outcome; once interrupted, for a moment only. */
async function closeInTime(producer: Producer, interrupted: AbortSignal): Promise<void> {
  const giveUp = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const startGrace = () => {
    timer = setTimeout(() => giveUp.abort(), graceMs);
  };
  if (interrupted.aborted) startGrace();
  else interrupted.addEventListener("abort", startGrace, { once: true });
  await producer.close(giveUp.signal);
  clearTimeout(timer);
}

function report(io: Io, tally: Tally, { output }: ProduceFlags): void {
  const { acknowledged, unknown, failed } = tally;
  for (const complaint of tally.complaints()) io.stderr.write(`tidemark: ${complaint}\n`);
  if (output === "json") printJson(io, { acknowledged, unknown, failed });
  else print(io, `acknowledged ${acknowledged}, unknown ${unknown}, failed ${failed}`);
}
