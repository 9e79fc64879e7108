import process from "node:process";
import { threadPoolSize } from "./node-disk.ts";

/** What became of the wish for threads. */
export interface ReservedThreads {
  /** Threads that Node's pool has. */
  readonly threads: number;
  /** Threads that `disks` disks need to leave each other alone. */
  readonly needed: number;
}

/**
 * Gives Node's pool the threads that `disks` disks need. Works only before its first use: Node loads modules without it,
 * so that the first lines of a program are early enough. A UV_THREADPOOL_SIZE that was set from outside stays.
 */
export function reserveThreads(disks: number): ReservedThreads {
  const needed = threadPoolSize(disks);
  const given = process.env["UV_THREADPOOL_SIZE"];
  if (given !== undefined && given !== "") return { threads: Number(given), needed };
  process.env["UV_THREADPOOL_SIZE"] = String(needed);
  return { threads: needed, needed };
}
