/** Case 7: a crash at every step of append, roll, cut, checkpoint, retention, compaction and start. */
import { describe, expect, it } from "vitest";
import { type CrashRun, checkCrashPoints, checkFailedOperations } from "./testing/crash-points.ts";
import { crashRuns } from "./testing/crash-runs.ts";
import { testEffort, testTimeoutMs } from "./testing/effort.ts";

declare module "vitest" {
  interface TaskMeta {
    /** What a test went through, and how many: summed up at the end of `npm test`. */
    counted?: Record<string, number>;
  }
}

const runs: Record<string, CrashRun> = crashRuns;
describe("case 7: a crash at any step of", () => {
  for (const [name, run] of Object.entries(runs)) {
    it(`${name} leaves a sound log`, { timeout: testTimeoutMs }, async ({ task }) => {
      const report = await checkCrashPoints({ ...run, effort: testEffort });
      task.meta.counted = { "crash states recovered and checked": report.states };
      expect(report.violations).toEqual([]);
      expect(report.states).toBeGreaterThan(10);
    });
  }
});

describe("case 7: a failure of the device, or a full disk, at any step and then a crash of", () => {
  const begun = [
    "a compaction that merges segments",
    "the start after a kill, which writes the tail anew",
  ] satisfies (keyof typeof crashRuns)[];
  it.each(begun)("%s leaves a sound log", { timeout: testTimeoutMs }, async (name) => {
    const report = await checkFailedOperations({ ...crashRuns[name], effort: testEffort });
    expect(report.violations).toEqual([]);
    expect(report.states).toBeGreaterThan(10);
  });
});
