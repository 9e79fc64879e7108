import type { Io } from "./io.ts";

/** One line of text on standard output. */
export function print(io: Io, line: string): void {
  io.stdout.write(`${line}\n`);
}
