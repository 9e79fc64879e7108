import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** How a process ended. */
export interface Ending {
  /** Exit code 0. */
  readonly clean: boolean;
  /** The signal that ended it; undefined where none did. */
  readonly signal: NodeJS.Signals | undefined;
  /** In words. */
  readonly cause: string;
}

/** A service's process. */
export interface Child {
  /** Undefined where it could not be made at all. */
  readonly pid: number | undefined;
  /** Resolves with the endpoints once the process says that it is ready; undefined if it ended before. */
  readonly ready: Promise<Readonly<Record<string, string>> | undefined>;
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>;
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

const lastWordsBytesMax = 64 * 1024;

/** The last line that it logged from byte `from` on, which is where a service says why it ends. "" where there is none. */
function lastWords(logFile: string, from: number): string {
  const file = openSync(logFile, "r");
  try {
    const { size } = fstatSync(file);
    const start = Math.max(from, size - lastWordsBytesMax);
    const tail = Buffer.alloc(Math.max(0, size - start));
    readSync(file, tail, 0, tail.length, start);
    return messageOf(tail.toString().trimEnd().split("\n"));
  } finally {
    closeSync(file);
  }
}

/** What a log's last line says; where the process died of an error that nobody caught, the line that names it. */
function messageOf(lines: readonly string[]): string {
  const line = lines.at(-1)?.trim() ?? "";
  if (line.startsWith("Node.js v"))
    return lines.findLast((each) => /^[A-Z]?\w*(Error|Exception)\b.*: /.test(each)) ?? line;
  try {
    const { message } = JSON.parse(line) as { message?: string };
    return message ?? line;
  } catch {
    return line;
  }
}

function whenReady(child: ChildProcess): Child["ready"] {
  return new Promise((resolve) => {
    child.once("error", () => resolve(undefined));
    child.once("exit", () => resolve(undefined));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const ready = parseReady(line);
      if (ready !== undefined) resolve(ready.endpoints);
    });
  });
}

/**
 * Starts a service. It runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which stops the
 * services in their order; the channel between the two tells a service when its supervisor is gone.
 */
export function startChild(command: readonly string[], logFile: string, env: NodeJS.ProcessEnv): Child {
  const { child, ended } = launch(command, logFile, { env, isOurs: true });
  return { pid: child.pid, ready: whenReady(child), ended, signal: (signal) => child.kill(signal) };
}

/** Starts a program that says nothing when it is ready: `look` is asked for its endpoints until it knows them. */
export function startForeignChild(
  command: readonly string[],
  logFile: string,
  options: {
    readonly env: NodeJS.ProcessEnv;
    readonly look: () => Promise<Readonly<Record<string, string>> | undefined>;
  },
): Child {
  const { child, ended } = launch(command, logFile, { env: options.env, isOurs: false });
  const life = { isOver: false };
  child.once("error", () => {
    life.isOver = true;
  });
  child.once("exit", () => {
    life.isOver = true;
  });
  const lookUntilReady = async () => {
    while (!life.isOver) {
      const endpoints = await options.look().catch(() => undefined);
      if (endpoints !== undefined) return endpoints;
      await sleep(50);
    }
    return undefined;
  };
  return { pid: child.pid, ready: lookUntilReady(), ended, signal: (signal) => child.kill(signal) };
}

/** A program of ours says on its standard output that it is ready, and learns by a channel that its supervisor is gone. */
function launch(
  command: readonly string[],
  logFile: string,
  { env, isOurs }: { readonly env: NodeJS.ProcessEnv; readonly isOurs: boolean },
) {
  const [program = process.execPath, ...args] = command;
  const log = openSync(logFile, "a");
  const { size: from } = fstatSync(log);
  const stdio: StdioOptions = isOurs ? ["ignore", "pipe", log, "ipc"] : ["ignore", log, log];
  const child = spawn(program, args, { stdio, detached: true, env });
  closeSync(log);
  const ended = new Promise<Ending>((resolve) => {
    child.once("error", (error) => resolve({ clean: false, signal: undefined, cause: error.message }));
    child.once("exit", (code, signal) => {
      if (signal !== null) resolve({ clean: false, signal, cause: `killed by ${signal}` });
      else if (code === 0)
        resolve({ clean: true, signal: undefined, cause: "exit code 0, though nobody asked it to stop" });
      else
        resolve({
          clean: false,
          signal: undefined,
          cause: `exit code ${code ?? "none"}: ${lastWords(logFile, from) || `see ${logFile}`}`,
        });
    });
  });
  return { child, ended };
}
