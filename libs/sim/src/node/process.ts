import { closeSync, openSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";

/** After so many turns the process looks at what comes from outside: signals, and rejections that nobody handles. */
const turnsBetweenLooks = 10_000;

/**
 * Calls `step` again and again until it returns false. Between two calls every promise settles that can: a tick is
 * taken only when no microtask is left, so chains of promises of any length end first, and always in the same order.
 */
export function takeTurns(step: () => boolean): Promise<void> {
  // A promise that has settled costs less than queueMicrotask, which notes who called it.
  const settled = Promise.resolve();
  return new Promise((resolve, reject) => {
    let turns = 0;
    const turn = () => {
      try {
        if (!step()) {
          resolve();
          return;
        }
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      turns += 1;
      if (turns % turnsBetweenLooks === 0) setImmediate(turn);
      else settled.then(afterMicrotasks, reject);
    };
    const afterMicrotasks = () => process.nextTick(turn);
    afterMicrotasks();
  });
}

/**
 * Lets go of a run before the next one begins: the turn of the event loop that a run ended in still stands on the stack
 * and holds it, so the next one has a turn of its own.
 *
 * Garbage is not collected in between. When nothing of a cluster lives V8 forgets the shapes of its objects, and with them
 * all machine code that knows them: the next run would begin as the first one did, and never get as fast.
 */
export function turnOfItsOwn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Milliseconds that this process has had a core: for the report of a run's speed, and for nothing in it. */
export function coreTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds of real time since an arbitrary start: for how long to go on with further runs. */
export function realTimeMs(): number {
  return performance.now();
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A new file of lines; what stood there before is gone. A relative path begins where npm was called. */
export function createLineFile(path: string): { write(line: string): void; close(): void } {
  const file = openSync(resolve(process.env.INIT_CWD ?? ".", path), "w");
  return {
    write(line) {
      writeSync(file, `${line}\n`);
    },
    close() {
      closeSync(file);
    },
  };
}

/** How many seeds the tests are to run; `usual` where nobody says. */
export function seedsToTest(usual: number): number {
  return Number(process.env.TIDEMARK_TEST_SEEDS ?? usual);
}

/** The text of a source file; `path` is relative to this one. */
export function readSource(path: string): Promise<string> {
  return readFile(new URL(path, import.meta.url), "utf8");
}
