import type { Command } from "commander";
import type { Io } from "../io.ts";
import { type Finish, type OutputFormat, withExample, withOutput } from "./command.ts";

/** What `tidemark log dump` was asked for. */
export interface DumpFlags {
  readonly output: OutputFormat;
  readonly verify: boolean;
  readonly batches: boolean;
  readonly deep: boolean;
}

/** `tidemark log dump`. */
export function addLogCommands(program: Command, io: Io, finish: Finish): void {
  const log = program.command("log").description("the files of logs, without a broker");
  const dump = log
    .command("dump")
    .description(
      "show what a log holds, where it is damaged, and what a start would do. Changes nothing; of a log that a " +
        "running broker writes to, the end may look torn",
    )
    .argument("<path>", "a partition's directory, one segment (.log), or a whole log directory")
    .option("--verify", "end with 1 if anything is wrong", false)
    .option("--batches", "show every batch", false)
    .option("--deep", "show every batch with its records, and check that they can be read", false);
  withExample(
    withOutput(dump),
    "tidemark log dump .tidemark/broker-1/log --verify",
    "tidemark log dump 00000000000000000000.log --deep -o json",
  ).action(async (path: string, flags: DumpFlags) => {
    // The log and its codecs are loaded for this command alone.
    const { dumpLogs } = await import("../log/dump-logs.ts");
    finish(await dumpLogs(io, path, flags));
  });
}
