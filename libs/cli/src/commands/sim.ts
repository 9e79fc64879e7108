import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { type Finish, withExample } from "./command.ts";

/** The simulator runs the services' own code, which only the repository has: a packed command line is without it. */
const simulator = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "sim", "src", "main.ts");

/** `tidemark sim`: what `npm run sim` does, with its flags and its exit codes. */
export function addSimCommand(program: Command, io: Io, finish: Finish): void {
  const sim = program
    .command("sim")
    .description("run a whole cluster in one process from a seed (in the repository only)")
    .argument("[flags...]", "what `npm run sim --` takes; an unknown one tells them all")
    .allowUnknownOption()
    .passThroughOptions();
  withExample(sim, "tidemark sim --seed 7 --replication-factor 3 --export otlp run.jsonl").action(
    async (flags: readonly string[]) => finish(await runSimulator(flags, io)),
  );
}

async function runSimulator(flags: readonly string[], io: Io): Promise<number> {
  if (!existsSync(simulator)) {
    io.stderr.write("tidemark: the simulator is in Tidemark's repository only: there, `npm run sim -- --seed N`\n");
    return exitCodes.usage;
  }
  const child = spawn(process.execPath, [simulator, ...flags], {
    cwd: io.workingDirectory,
    env: { ...io.env, INIT_CWD: io.workingDirectory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.pipe(io.stdout, { end: false });
  child.stderr.pipe(io.stderr, { end: false });
  const interrupt = () => child.kill("SIGINT");
  io.interrupted.addEventListener("abort", interrupt, { once: true });
  try {
    return await new Promise((resolve) => {
      child.once("error", () => resolve(exitCodes.failed));
      child.once("close", (code) => resolve(code ?? exitCodes.failed));
    });
  } finally {
    io.interrupted.removeEventListener("abort", interrupt);
  }
}
