import { spawn } from "node:child_process";

/** What became of a program. */
export interface Finished {
  /** 1 where a signal ended it. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A program that has not ended by then is killed, and the promise rejects with what it said so far. Absent: no limit. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end and collects what it wrote. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (piece: Buffer) => stdout.push(piece));
    child.stderr.on("data", (piece: Buffer) => stderr.push(piece));
    // A program that ends before it read its input closes the pipe; its exit code says what happened.
    child.stdin.on("error", () => undefined);
    const limit = endAfter(options.timeoutMs, (afterMs) => {
      child.kill("SIGKILL");
      const said = Buffer.concat([...stdout, ...stderr])
        .toString()
        .slice(-4000);
      const told = said === "" ? "It had said nothing." : `It had said:\n${said}`;
      reject(new Error(`${program} ${args.join(" ")} had not ended after ${afterMs / 1000} s and was killed. ${told}`));
    });
    child.on("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(limit);
      resolve({ code: code ?? 1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.end(options.input);
  });
}

function endAfter(afterMs: number | undefined, end: (afterMs: number) => void): NodeJS.Timeout | undefined {
  return afterMs === undefined ? undefined : setTimeout(end, afterMs, afterMs);
}

/** Runs a program and gives back what it printed. Throws what it said where it did not end with 0. */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args, options);
  if (code === 0) return stdout.toString();
  throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout.toString().slice(-4000)}\n${stderr}`);
}
