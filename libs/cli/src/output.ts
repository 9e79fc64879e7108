import Table from "cli-table3";
import type { Io } from "./io.ts";

/** One line of text on standard output. */
export function print(io: Io, line: string): void {
  io.stdout.write(`${line}\n`);
}

/** A count with its word: `1 partition`, `3 partitions`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** A whole number as JSON has it: as text where a reader's double would not hold it exactly. */
export function jsonNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** A value for programs, on one line that ends with a newline. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? jsonNumber(each) : each))}\n`;
}

/** The same, on standard output. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(jsonLine(value));
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A field of bytes: as text where they are UTF-8, else under the name with `Base64` behind it. */
export function bytesAs(name: string, bytes: Uint8Array | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null };
  try {
    return { [name]: strict.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes).toString("base64") };
  }
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

/** Rows under their heads, without lines between them; ends with a newline. */
export function tableOf(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const table = new Table({
    head: [...head],
    chars: plain,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** The same, on standard output. */
export function printTable(io: Io, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  io.stdout.write(tableOf(head, rows));
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
