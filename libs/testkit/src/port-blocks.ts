import { randomInt } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Base ports of `tidemark dev`, as it draws them itself with `--base-port=0`. */
const blocks = { first: 12_000, apart: 100, count: 140 } as const;

/**
 * One file for each block that is taken, with the process that took it. Another user could not write into it. By the
 * number of the user: in a container it may have no name, and asking for that fails.
 */
const registry = join(tmpdir(), `tidemark-test-ports-${process.getuid?.() ?? "all"}`);

/** A range of ports for one cluster. */
export interface PortBlock {
  readonly basePort: number;
  release(): void;
}

/**
 * Takes a block that no other test has. A cluster that is killed and started again listens on nothing in between: what
 * keeps others from its ports meanwhile is the file alone. `folder` and `draw` are for tests.
 */
export function takePortBlock(folder = registry, draw = () => randomInt(blocks.count)): PortBlock {
  mkdirSync(folder, { recursive: true });
  const start = draw();
  for (let step = 0; step < blocks.count; step++) {
    const basePort = blocks.first + ((start + step) % blocks.count) * blocks.apart;
    const file = join(folder, String(basePort));
    if (take(file)) return { basePort, release: () => rmSync(file, { force: true }) };
  }
  throw new Error(`No block of ports is left: ${folder} says who has them`);
}

function take(file: string): boolean {
  if (isLeft(file)) takeAway(file);
  return create(file);
}

/**
 * What a test left that was killed is nobody's. Of several that find it one takes it away, and looks again before it does:
 * by then it may be the file of another one that took the block.
 */
function takeAway(file: string): void {
  const lock = `${file}.lock`;
  if (!create(lock)) return;
  if (isLeft(file)) rmSync(file, { force: true });
  rmSync(lock, { force: true });
}

/** Whether it was not there. */
function create(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function isLeft(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    // Being written, it does not say yet whose it is.
    return pid > 0 && !isThere(pid);
  } catch {
    return false;
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
