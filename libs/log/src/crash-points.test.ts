/** Case 7: a crash at every step of append, roll, cut, checkpoint, retention, compaction and start. */
import { afterAll, describe, expect, it } from "vitest";
import { type CrashRun, checkCrashPoints } from "./testing/crash-points.ts";
import { crashRuns } from "./testing/crash-runs.ts";
import { testEffort, testTimeoutMs } from "./testing/effort.ts";

const runs: Record<string, CrashRun> = crashRuns;
describe("case 7: a crash at any step of", () => {
  let states = 0;
  it.each(Object.keys(runs))(
    "%s leaves a sound log",
    async (name) => {
      const report = await checkCrashPoints({ ...runs[name]!, effort: testEffort });
      states += report.states;
      expect(report.violations).toEqual([]);
      expect(report.states).toBeGreaterThan(10);
    },
    testTimeoutMs,
  );

  afterAll(() => {
    process.stdout.write(`crash states recovered and checked: ${states}\n`);
  });
});
