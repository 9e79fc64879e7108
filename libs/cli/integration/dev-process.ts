import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitFor } from "@tidemark/testkit";

export const main = join(dirname(fileURLToPath(import.meta.url)), "..", "src", "main.ts");

/** `tidemark dev` as a person starts it. */
export interface DevProcess {
  readonly pid: number;
  /** Everything that it has said so far. */
  output(): string;
  /** Waits until it says something that matches. */
  says(pattern: RegExp): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with its exit code; 1 where a signal ended it. */
  readonly ended: Promise<number>;
}

export function startDev(data: string, ...flags: readonly string[]): DevProcess {
  const child: ChildProcess = spawn(process.execPath, [main, "dev", "--data", data, ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (piece: Buffer) => {
      printed += piece.toString();
    });
  }
  const ended = new Promise<number>((resolve) => {
    child.once("close", (code) => resolve(code ?? 1));
  });
  return {
    pid: child.pid ?? -1,
    output: () => printed,
    says: (pattern) =>
      waitFor(`"${pattern.source}" in what tidemark dev says: ${printed}`, () => {
        const match = pattern.exec(printed);
        if (match !== null) return match[0];
        if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}: ${printed}`);
        return undefined;
      }),
    signal: (signal) => {
      child.kill(signal);
    },
    ended,
  };
}
