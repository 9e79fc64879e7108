import { describe, expect, test } from "vitest";
import { murmur2, partitionOfKey } from "./partitioner.ts";
import { textToBytes } from "./text.ts";

describe("the partitioner", () => {
  // Hashes that Kafka's own tests name.
  test.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ])("hashes %j as Kafka does", (key, hash) => {
    expect(murmur2(textToBytes(key))).toBe(hash);
  });

  test("hashes a slice of a larger buffer like the same bytes alone", () => {
    const padded = textToBytes("..foobar..");
    expect(murmur2(padded.subarray(2, 8))).toBe(-790332482);
  });

  test("never leaves the partitions that there are", () => {
    const chosen = Array.from({ length: 500 }, (_, at) => partitionOfKey(textToBytes(`key-${at}`), 7));
    expect(Math.min(...chosen)).toBe(0);
    expect(Math.max(...chosen)).toBe(6);
  });
});
