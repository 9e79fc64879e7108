import { fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Which of several processes this one is, that share what is to be run: 0 is the first. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/**
 * How V8 runs a simulation, so that it takes the least time of all cores together.
 *
 * - Little of what it allocates lives long: more room for the young took more memory and no less time, and to begin with
 *   less room only copies more.
 * - It runs much code, and little of it very often: what translates quickly is worth its while early, and stays; what
 *   translates thoroughly earns what it costs only where code is run very often.
 * - Threads that help to collect the young are woken more often than they help.
 * - Node's own code is large too, and runs faster from large pages where there are any.
 */
const v8Flags = [
  "--min-semi-space-size=16",
  "--max-semi-space-size=16",
  "--always-sparkplug",
  "--invocation-count-for-maglev=150",
  "--invocation-count-for-turbofan=20000",
  "--no-flush-bytecode",
  "--no-parallel-scavenge",
  "--use-largepages=silent",
] as const;

/** What threads free is used by others, too: one heap of the C library instead of one for each thread. */
const environment = { MALLOC_ARENA_MAX: "1" } as const;

/**
 * Where many runs are made nobody reads the stack of an error that is an answer, and to note it costs more than the rest
 * of it. A single run, which somebody repeats in order to understand it, has them.
 */
function stackFlags(): readonly string[] {
  return process.argv.includes("--seed") ? [] : ["--stack-trace-limit=0"];
}

const shareVariable = "TIDEMARK_SIM_SHARE";

/** What this process is to run of everything. Undefined: it was called by somebody, and runs nothing itself. */
export function shareOfThisProcess(): Share | undefined {
  const text = process.env[shareVariable];
  if (text === undefined) return undefined;
  const [index = 0, of = 1] = text.split("/").map(Number);
  return { index, of };
}

/** Tells the parent something, which is cloned: Maps and bigints arrive as such. */
export function tellParent(value: unknown): void {
  process.send?.(value);
}

/** A child ends with its parent. */
export function endWithParent(): void {
  process.on("disconnect", () => process.exit(1));
  process.channel?.unref();
}

/**
 * Runs `program` in so many processes at once, with what this one was called with. Resolves to the highest of their exit
 * codes. `program` is relative to this file; `onTold` takes what they tell.
 */
export async function runChildren(program: string, jobs: number, onTold: (value: unknown) => void): Promise<number> {
  const codes = Array.from({ length: jobs }, (_, index) => {
    const child = fork(fileURLToPath(new URL(program, import.meta.url)), process.argv.slice(2), {
      env: { ...process.env, ...environment, [shareVariable]: `${index}/${jobs}` },
      execArgv: [...v8Flags, ...stackFlags()],
      serialization: "advanced",
    });
    child.on("message", onTold);
    return new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  });
  return Math.max(...(await Promise.all(codes)));
}
