import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "node_modules");
const textFile = /\.(js|mjs|cjs|ts|mts|json|md|txt|map|yml|yaml)$/;
const lineBytes = 900 * 1024;

/** What real text seldom has: put in between again and again. */
const oddities: readonly Buffer[] = [
  Buffer.from("\n\n\n"),
  Buffer.from("a line ended by CRLF\r\nand a lone \r in the middle\n\r\n"),
  Buffer.from("Grüße · Здравствуй, мир · γειά σου · 世界 · नमस्ते · שלום · مرحبا · 👩‍🚀🏳️‍🌈\n"),
  Buffer.concat([Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf5]), Buffer.from(" is not UTF-8\n")]),
  Buffer.from("NUL \0\0 and other control characters \u0001\u001b[31m\u007f\n"),
];

function* textFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* textFiles(path);
    else if (entry.isFile() && textFile.test(entry.name)) yield path;
  }
}

/** A line of about 900 KB made of real text: the file's lines without their ends. */
function longLine(text: Buffer): Buffer {
  const flat = Buffer.from(text.filter((byte) => byte !== 0x0a));
  const repeated = Buffer.alloc(lineBytes, flat.length === 0 ? Buffer.from("x") : flat);
  return Buffer.concat([repeated, Buffer.from("\n")]);
}

/**
 * Writes a file of `bytes` or a little more from the text of the installed packages, with empty lines, CRLF, lines of
 * 900 KB, several scripts, invalid UTF-8 and NUL in between, and no newline at the end. The same packages give the same
 * file.
 */
export function writeRealInput(path: string, bytes: number): void {
  const file = openSync(path, "w");
  let size = 0;
  let files = 0;
  const put = (piece: Buffer) => {
    writeSync(file, piece);
    size += piece.length;
  };
  try {
    while (size < bytes) {
      for (const name of textFiles(packages)) {
        if (size >= bytes) break;
        if (statSync(name).size > 2 ** 20) continue;
        const text = readFileSync(name);
        put(text);
        put(oddities[files % oddities.length] ?? Buffer.from("\n"));
        if (files % 500 === 0) put(longLine(text));
        files++;
      }
    }
    put(Buffer.from("the last line has no end"));
  } finally {
    closeSync(file);
  }
}
