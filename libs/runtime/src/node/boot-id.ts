import { readFile } from "node:fs/promises";

/**
 * Identifies the boot of this machine: another one after each restart of the machine, the same over restarts of
 * processes. Empty where the system does not tell, as it does only on Linux.
 */
export async function readBootId(): Promise<string> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  } catch {
    return "";
  }
}
