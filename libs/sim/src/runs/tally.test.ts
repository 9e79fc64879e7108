import { expect, test } from "vitest";
import type { RunResult } from "./result.ts";
import { createTally } from "./tally.ts";

test("a seed whose process ended in its midst is named, a single one too", () => {
  const tally = createTally();
  tally.take({ kind: "begin", seed: 7 });
  expect(tally.describe()).toBe("seed 7 was not run to its end: its process ended, and ran nothing behind it");
  tally.take({ kind: "run", result: { seed: 7 } as RunResult, coreMs: 1 });
  expect(tally.describe()).toBeUndefined();
});
