/** The program `tidemark`: the real streams and signals around `runProgram`. */
import { runProgram } from "./program.ts";

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
