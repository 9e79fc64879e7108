import { exitCodes } from "./exit-codes.ts";
import { runProgram } from "./program.ts";
import { startTraces } from "./traces.ts";

/** Runs the command line of this process, with its streams and signals, and sets its exit code. */
export async function runMain(): Promise<void> {
  const interruption = new AbortController();
  const outputClosed = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interruption.abort(new Error(`Stopped by ${signal}`)));
  }
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    outputClosed.abort(error);
    interruption.abort(error);
  });

  const args = process.argv.slice(2);
  // The processes of a cluster export their own.
  const stopTraces = args[0] === "dev" ? undefined : await startTraces(process.env);
  const code = await runProgram(args, {
    env: process.env,
    workingDirectory: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    interrupted: interruption.signal,
  });
  process.exitCode = outputClosed.signal.aborted ? exitCodes.outputClosed : code;
  if (stopTraces === undefined) return;
  await stopTraces();
  // What a collector that hangs keeps open must not hold the command; what was printed leaves before.
  process.stdout.write("", () => process.exit());
}
