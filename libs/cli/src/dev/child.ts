import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A service's process. */
export interface Child {
  readonly pid: number;
  /** Resolves with the endpoints once the process says that it is ready; undefined if it ended before. */
  readonly ready: Promise<Readonly<Record<string, string>> | undefined>;
  /** Resolves when it has ended, with the cause in words. */
  readonly ended: Promise<string>;
  signal(signal: NodeJS.Signals): void;
}

interface ReadyLine {
  readonly ready: true;
  readonly endpoints: Readonly<Record<string, string>>;
}

function parseReady(line: string): ReadyLine | undefined {
  try {
    const parsed = JSON.parse(line) as Partial<ReadyLine> | null;
    return parsed?.ready === true ? (parsed as ReadyLine) : undefined;
  } catch {
    return undefined;
  }
}

/** The last line that it logged, which is where a service says why it cannot start. */
function lastWords(logFile: string, from: number): string {
  const lines = readFileSync(logFile).subarray(from).toString().trimEnd().split("\n");
  const last = lines.at(-1)?.trim() ?? "";
  try {
    const { msg, message } = JSON.parse(last) as { msg?: string; message?: string };
    return msg ?? message ?? last;
  } catch {
    return last;
  }
}

function whenReady(process: ChildProcess): Child["ready"] {
  return new Promise((resolve) => {
    process.once("exit", () => resolve(undefined));
    if (process.stdout === null) return;
    createInterface({ input: process.stdout }).on("line", (line) => {
      const ready = parseReady(line);
      if (ready !== undefined) resolve(ready.endpoints);
    });
  });
}

/**
 * Starts a service. It runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which stops the
 * services in their order; the channel between the two tells a service when its supervisor is gone.
 */
export function startChild(command: readonly string[], logFile: string): Child {
  const [program = process.execPath, ...args] = command;
  const log = openSync(logFile, "a");
  const from = readFileSync(logFile).length;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", log, "ipc"], detached: true });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => {
      if (signal !== null) resolve(`killed by ${signal}`);
      else if (code === 0) resolve("exit code 0");
      else resolve(`exit code ${code ?? "none"}: ${lastWords(logFile, from) || `see ${logFile}`}`);
    });
  });
  return {
    pid: child.pid ?? -1,
    ready: whenReady(child),
    ended,
    signal: (signal) => {
      child.kill(signal);
    },
  };
}
