import { readFileSync } from "node:fs";

/** A tick of the kernel's account of processes, in milliseconds (USER_HZ is 100 on Linux). */
const tickMs = 10;

/** Milliseconds of processor time that a process has used, its threads and the kernel's work for it included. NaN where there is no /proc. */
export function processorMs(pid: number): number {
  try {
    // Behind the name, which may hold anything, user and system time are fields 14 and 15 (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [user = Number.NaN, system = Number.NaN] = fields.slice(11, 13).map(Number);
    return (user + system) * tickMs;
  } catch {
    return Number.NaN;
  }
}
