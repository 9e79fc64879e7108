/** The runs of the consensus contract side by side: one suite, the same cases on every backend. */
import type { Counts } from "./counts.ts";

/** What is read of a report to tell them. */
export interface NamedReport {
  readonly testResults?: readonly {
    readonly assertionResults: readonly { readonly ancestorTitles?: readonly string[]; readonly status?: string }[];
  }[];
}

/** One run: on which backend, and how many of its cases passed. */
export interface ContractRun {
  readonly backend: string;
  readonly counts: Counts;
}

const title = "consensus contract: ";

/** The runs in the reports, by name. A case that did not run counts as failed. */
export function contractRuns(reports: readonly NamedReport[]): readonly ContractRun[] {
  const runs = new Map<string, Counts>();
  const cases = reports.flatMap(({ testResults = [] }) => testResults.flatMap((file) => file.assertionResults));
  for (const { ancestorTitles = [], status } of cases) {
    const outermost = ancestorTitles[0];
    if (outermost?.startsWith(title) !== true) continue;
    const backend = outermost.slice(title.length);
    const { passed, failed } = runs.get(backend) ?? { passed: 0, failed: 0 };
    runs.set(backend, status === "passed" ? { passed: passed + 1, failed } : { passed, failed: failed + 1 });
  }
  return [...runs]
    .map(([backend, counts]) => ({ backend, counts }))
    .sort((one, other) => (one.backend < other.backend ? -1 : 1));
}

/** What is printed of them: a line each, and one that says so where their cases are not as many everywhere. */
export function contractLines(runs: readonly ContractRun[]): readonly string[] {
  if (runs.length === 0) return [];
  const lines = runs.map(
    ({ backend, counts: { passed, failed } }) => `  ${String(passed).padStart(4)} passed, ${failed} failed  ${backend}`,
  );
  const uneven = isUneven(runs) ? ["  FAILED: the cases are not as many on each of them"] : [];
  return ["The consensus contract, one suite on each backend:", ...lines, ...uneven];
}

/** Whether a backend ran more or fewer cases than another. */
export function isUneven(runs: readonly ContractRun[]): boolean {
  return new Set(runs.map(({ counts: { passed, failed } }) => passed + failed)).size > 1;
}
