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

/** Every backend that has to run the suite, by the name that its tests give it. */
export const contractBackends = [
  "in-memory twin",
  "raft, in memory and under manual time",
  "raft, over gRPC and on this machine's disks",
  "real etcd",
  "simulated etcd",
  "single node",
];

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

/** What is printed of them: a line each, one for each that is missing, and one where their cases are not as many everywhere. */
export function contractLines(runs: readonly ContractRun[], missing: readonly string[] = []): readonly string[] {
  if (runs.length === 0 && missing.length === 0) return [];
  const lines = runs.map(
    ({ backend, counts: { passed, failed } }) => `  ${String(passed).padStart(4)} passed, ${failed} failed  ${backend}`,
  );
  const absent = missing.map((backend) => `  FAILED: there is no run on: ${backend}`);
  const uneven = isUneven(runs) ? ["  FAILED: the cases are not as many on each of them"] : [];
  return ["The consensus contract, one suite on each backend:", ...lines, ...absent, ...uneven];
}

/** The backends on which none of its cases ran. */
export function missingBackends(runs: readonly ContractRun[]): readonly string[] {
  return contractBackends.filter((name) => !runs.some(({ backend }) => backend === name));
}

/** Whether a backend ran more or fewer cases than another. */
export function isUneven(runs: readonly ContractRun[]): boolean {
  return new Set(runs.map(({ counts: { passed, failed } }) => passed + failed)).size > 1;
}
