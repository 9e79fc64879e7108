import { describe, expect, test } from "vitest";
import { exponentialBackoffMs } from "./backoff.ts";

const drawing = (value: number) => ({ next: () => value, bytes: () => new Uint8Array() });
const limits = { firstMs: 50, maxMs: 1000 };

describe("the pause before a further try", () => {
  test("doubles up to its limit, and stays there however often it failed", () => {
    const most = [0, 1, 2, 3, 4, 5, 6, 1e6].map((failures) =>
      Math.round(exponentialBackoffMs(failures, drawing(1), limits)),
    );
    expect(most).toEqual([50, 100, 200, 400, 800, 1000, 1000, 1000]);
  });

  test("is drawn from its later half", () => {
    expect([0, 0.5, 1].map((value) => exponentialBackoffMs(1, drawing(value), limits))).toEqual([50, 75, 100]);
  });
});
