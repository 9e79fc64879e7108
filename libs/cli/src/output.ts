import Table from "cli-table3";
import type { Io } from "./io.ts";

/** One line of text on standard output. */
export function print(io: Io, line: string): void {
  io.stdout.write(`${line}\n`);
}

/** A whole number as JSON has it: as text where a reader's double would not hold it exactly. */
export function jsonNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** A value for programs, on one line. */
export function printJson(io: Io, value: unknown): void {
  print(
    io,
    JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? jsonNumber(each) : each)),
  );
}

const plain = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** Rows under their heads, without lines between them. */
export function printTable(io: Io, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const table = new Table({
    head: [...head],
    chars: plain,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split("\n");
  print(io, lines.map((line) => line.trimEnd()).join("\n"));
}

/** Writes and resolves when there is room for more. */
export async function writeFully(io: Io, bytes: Uint8Array): Promise<void> {
  if (io.stdout.write(bytes) || io.interrupted.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      io.stdout.removeListener("drain", done);
      io.interrupted.removeEventListener("abort", done);
      resolve();
    };
    io.stdout.once("drain", done);
    io.interrupted.addEventListener("abort", done, { once: true });
  });
}
