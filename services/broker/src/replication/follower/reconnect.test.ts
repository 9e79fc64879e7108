import { createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { reconnectMs } from "./reconnect.ts";

describe("the pause before a stream is opened again", () => {
  const pauses = Array.from({ length: 40 }, (_, failures) => reconnectMs(failures, createSeededRandom(failures)));

  it("is none after a stream that worked, and short after the first failure", () => {
    expect(pauses[0]).toBe(0);
    expect(pauses[1]).toBeLessThanOrEqual(20);
  });

  it("grows, and is never longer than a second", () => {
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1000);
    expect(Math.min(...pauses.slice(8))).toBeGreaterThanOrEqual(500);
  });
});
