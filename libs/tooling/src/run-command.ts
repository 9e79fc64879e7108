import { spawn } from "node:child_process";
import { root } from "./repository.ts";

/** Runs a program in the repository's root and passes its output on. Resolves with its exit code (1 after a signal). */
export function runCommand(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env },
    });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/** Like `runCommand`, and hands out what the program wrote to its standard output. */
export function runAndRead(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    const pieces: Buffer[] = [];
    child.stdout.on("data", (piece: Buffer) => {
      pieces.push(piece);
      process.stdout.write(piece);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output: Buffer.concat(pieces).toString() }));
  });
}
