import { fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Figure } from "../bench.ts";

/**
 * Measures in a process that has loaded nothing else: V8 goes over all of a heap again and again while large buffers come
 * and go, and this process holds the code of every bench. The module hands its figures over with `handOver`.
 */
export async function measuredApart(module: URL): Promise<readonly Figure[]> {
  const child = fork(fileURLToPath(module), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const figures: Figure[] = [];
  child.on("message", (message) => figures.push(...(message as Figure[])));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("exit", resolve));
  if (code !== 0) throw new Error(`${module.pathname} ended with ${String(code)}`);
  return figures;
}

/** Ends the module that `measuredApart` ran. */
export function handOver(figures: readonly Figure[]): void {
  process.send?.(figures, () => process.disconnect());
}
