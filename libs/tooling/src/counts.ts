/** How many tests and checks passed and failed. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

export const none: Counts = { passed: 0, failed: 0 };

export function add(one: Counts, other: Counts): Counts {
  return { passed: one.passed + other.passed, failed: one.failed + other.failed };
}

/** The closing line that is read by others: alone on its line. */
export function closingLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed`;
}

/** Reads a closing line back from a program's output: the last one counts. Undefined where there is none. */
export function readClosingLine(output: string): Counts | undefined {
  const last = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
  return last === undefined ? undefined : { passed: Number(last[1]), failed: Number(last[2]) };
}

/** What is read of a report in the JSON form that the test runner writes. */
export interface TestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly success: boolean;
  readonly testResults?: readonly { readonly assertionResults: readonly { readonly meta?: TestMeta }[] }[];
}

/** What a test may say of itself (`task.meta`). */
export interface TestMeta {
  /** What it went through many of, and how many: "crash states recovered and checked" -> 1,200. */
  readonly counted?: Readonly<Record<string, number>>;
}

/** What the tests of a report went through, summed up by what it is. */
export function countedIn({ testResults = [] }: TestReport): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { assertionResults } of testResults) {
    for (const { meta } of assertionResults) {
      for (const [what, count] of Object.entries(meta?.counted ?? {})) sums.set(what, (sums.get(what) ?? 0) + count);
    }
  }
  return sums;
}

/** Counts one package's report. A test that did not run counts as failed: nothing passes by silently not running. */
export function countReport(report: TestReport): Counts {
  const notRun = report.numPendingTests + report.numTodoTests;
  const failed = report.numFailedTests + notRun;
  // A file that does not even load has no test that could fail.
  return { passed: report.numPassedTests, failed: failed === 0 && !report.success ? 1 : failed };
}

/** What is read of one task of turbo's run summary. */
export interface TaskSummary {
  readonly taskId: string;
  readonly task: string;
  readonly directory: string;
  readonly execution?: { readonly exitCode?: number; readonly startTime?: number; readonly endTime?: number };
  readonly cache?: { readonly status?: string };
}

/**
 * Counts one task: a test task by its report, any other as one check. A test task that failed without a failed test, or
 * left no report, counts as one failure.
 */
export function countTask(task: TaskSummary, report: TestReport | undefined): Counts {
  const succeeded = task.execution?.exitCode === 0;
  if (!task.task.startsWith("test:")) return succeeded ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  if (report === undefined) return { passed: 0, failed: 1 };
  const counts = countReport(report);
  return !succeeded && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}
