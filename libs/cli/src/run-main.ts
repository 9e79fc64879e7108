import { runProgram } from "./program.ts";

/** Runs the command line of this process, with its streams and signals, and sets its exit code. */
export async function runMain(): Promise<void> {
  const interruption = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interruption.abort(new Error(`Stopped by ${signal}`)));
  }
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") interruption.abort(error);
    else throw error;
  });

  process.exitCode = await runProgram(process.argv.slice(2), {
    env: process.env,
    workingDirectory: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    interrupted: interruption.signal,
  });
}
