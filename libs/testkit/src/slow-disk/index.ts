import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Says of processes how long each of their fdatasyncs takes beside what the disk needs. */
export interface SlowDisk {
  /** What processes are to find in their environment. They are to run Node.js, and inherit it to whom they start. */
  readonly env: Readonly<Record<"NODE_OPTIONS" | "TIDEMARK_TEST_SLOW_DISK", string>>;
  /** From the next fdatasync of the process on. 0: as fast as the disk is. */
  slow(pid: number, delayMs: number): void;
  close(): void;
}

const preload = new URL("./slow-sync.ts", import.meta.url).href;

export function createSlowDisk(): SlowDisk {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-slow-disk-"));
  const control = join(folder, "delays.json");
  const delays = new Map<number, number>();
  const write = () => {
    writeFileSync(`${control}.new`, JSON.stringify(Object.fromEntries(delays)));
    renameSync(`${control}.new`, control);
  };
  write();
  return {
    env: { NODE_OPTIONS: `--import=${preload}`, TIDEMARK_TEST_SLOW_DISK: control },
    slow(pid, delayMs) {
      delays.set(pid, delayMs);
      write();
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
