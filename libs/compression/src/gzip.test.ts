import { describe, expect, test } from "vitest";
import { chunkBytes } from "./gzip.ts";

describe("the memory that gzip takes at a time", () => {
  test.each([
    ["what the end declares", [0xe8, 3, 0, 0], 1000],
    ["no more than may come out, whatever the end declares", [0xff, 0xff, 0xff, 0xff], 5000],
    ["a little, when nothing is declared", [0, 0, 0, 0], 64],
    ["a little, when there is no end", [1], 64],
  ])("is %s", (_, bytes, taken) => {
    expect(chunkBytes(Uint8Array.from(bytes), 5000)).toBe(taken);
  });
});
