import { Command, CommanderError } from "commander";
import { addBenchCommands } from "./commands/bench.ts";
import { addBrokerCommands } from "./commands/broker.ts";
import { addClusterCommands } from "./commands/cluster.ts";
import type { Finish } from "./commands/command.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addConfigCommands } from "./commands/config.ts";
import { addConsumeCommand } from "./commands/consume.ts";
import { addControllerCommands } from "./commands/controller.ts";
import { addDevCommand } from "./commands/dev.ts";
import { addEventCommands } from "./commands/events.ts";
import { addFormatCommands } from "./commands/format.ts";
import { addLogCommands } from "./commands/log.ts";
import { addMetadataCommands } from "./commands/metadata.ts";
import { addPartitionCommands } from "./commands/partition.ts";
import { addProduceCommand } from "./commands/produce.ts";
import { addSimCommand } from "./commands/sim.ts";
import { addTopicCommands } from "./commands/topic.ts";
import { addTraceCommands } from "./commands/trace.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { UsageError } from "./settings.ts";

/** Runs one command line, without the names of the program. Resolves with the exit code; never rejects. */
export async function runProgram(args: readonly string[], io: Io): Promise<number> {
  let code: number = exitCodes.done;
  const finish = (given: number) => {
    code = given;
  };
  const program = createProgram(io, finish);
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (error instanceof UsageError) {
      io.stderr.write(`tidemark: ${error.message}\n`);
      return exitCodes.usage;
    }
    io.stderr.write(`tidemark: ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCodes.failed;
  }
}

/** The whole command line. Parsing throws CommanderError and UsageError. */
export function createProgram(io: Io, finish: Finish): Command {
  const program = new Command("tidemark")
    .description("Tidemark, a replicated commit log: a cluster on this machine, topics, records.")
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError("(`--help` after a command tells more)")
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text.replace(/^error: /, "tidemark: ")),
    })
    .addHelpText("after", exitCodesHelp);
  addDevCommand(program, io, finish);
  addTopicCommands(program, io, finish);
  addProduceCommand(program, io, finish);
  addConsumeCommand(program, io, finish);
  addClusterCommands(program, io, finish);
  addPartitionCommands(program, io, finish);
  addBrokerCommands(program, io, finish);
  addEventCommands(program, io, finish);
  addConfigCommands(program, io, finish);
  addLogCommands(program, io, finish);
  addFormatCommands(program, io, finish);
  addControllerCommands(program, io, finish);
  addMetadataCommands(program, io, finish);
  addTraceCommands(program, io, finish);
  addBenchCommands(program, io, finish);
  addSimCommand(program, io, finish);
  addCompletionCommand(program, io);
  return program;
}
