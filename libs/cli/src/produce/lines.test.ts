import { describe, expect, test } from "vitest";
import { createLineSplitter } from "./lines.ts";

/** The lines of `bytes`, given in chunks of `chunk` bytes, in latin1 so that every byte shows. */
function split(bytes: Buffer, chunk: number, lineBytesMax = 1000): string[] {
  const lines: string[] = [];
  const splitter = createLineSplitter(lineBytesMax, {
    onLine: (line) => lines.push(Buffer.from(line).toString("latin1")),
    onLongLine: (length) => lines.push(`long ${length}`),
  });
  for (let from = 0; from < bytes.length; from += chunk) splitter.push(bytes.subarray(from, from + chunk));
  splitter.end();
  return lines;
}

const chunks = [1, 2, 3, 7, 1000];

describe("lines", () => {
  test.each(chunks)("end at \\n alone, and nothing is decoded (chunks of %i)", (chunk) => {
    const bytes = Buffer.from("a\r\n\n\0\xff\xc3(\n\rb\n", "latin1");
    expect(split(bytes, chunk)).toEqual(["a\r", "", "\0\xff\xc3(", "\rb"]);
  });

  test.each(chunks)("count also without an end, and an end at the very end makes no further one (%i)", (chunk) => {
    expect(split(Buffer.from("a\nb"), chunk)).toEqual(["a", "b"]);
    expect(split(Buffer.from("a\n"), chunk)).toEqual(["a"]);
    expect(split(Buffer.from("\n"), chunk)).toEqual([""]);
    expect(split(Buffer.from(""), chunk)).toEqual([]);
  });

  test.each(chunks)("that are too long are told by their length, and the rest goes on (%i)", (chunk) => {
    const bytes = Buffer.from(`${"x".repeat(11)}\n${"y".repeat(10)}\n${"z".repeat(25)}`);
    expect(split(bytes, chunk, 10)).toEqual(["long 11", "y".repeat(10), "long 25"]);
  });

  test("that are too long are not kept in memory", () => {
    const splitter = createLineSplitter(1024, { onLine: () => undefined, onLongLine: () => undefined });
    const before = process.memoryUsage().arrayBuffers;
    const chunk = Buffer.alloc(2 ** 20, "x");
    for (let index = 0; index < 256; index++) splitter.push(chunk);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 2 ** 20);
  });

  test("survive the chunk that they began in being used again", () => {
    const lines: string[] = [];
    const splitter = createLineSplitter(100, {
      onLine: (line) => lines.push(Buffer.from(line).toString()),
      onLongLine: () => undefined,
    });
    const chunk = Buffer.from("abc");
    splitter.push(chunk);
    chunk.fill("#");
    splitter.push(Buffer.from("def\n"));
    expect(lines).toEqual(["abcdef"]);
  });
});
