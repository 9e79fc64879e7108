import type { LineCoverage } from "../node/coverage.ts";
import { leftOut } from "./coverage-scope.ts";
import { counts, countsFrom, faultsOf, type RunResult } from "./result.ts";

/** One line for a run that kept every promise. */
export function describeRun(result: RunResult, coreMs: number): string {
  const { seed, hash, simulatedMs, acknowledgedBatches, elections, uncleanElections, records, quorum } = result;
  return [
    `seed ${seed}`,
    result.violations.length === 0 ? "clean" : "FAILED",
    counts(result) ? "counts" : "does not count",
    `${(simulatedMs / 1000).toFixed(0)} s`,
    `${acknowledgedBatches} batches`,
    `${records.acknowledged}/${records.sent} records acknowledged`,
    `${elections} elections${uncleanElections === 0 ? "" : ` of which ${uncleanElections} unclean`}`,
    `${faultsOf(result)} faults of ${result.faults.size} kinds`,
    ...(quorum.terms === 0
      ? []
      : [`quorum: ${quorum.terms} terms, ${quorum.entries} entries, ${quorum.changes} changes of members`]),
    `hash ${hash}`,
    `${(simulatedMs / coreMs).toFixed(0)} simulated s a core second`,
  ].join(", ");
}

/** Everything that helps to understand a broken promise. The first line repeats the run. */
export function describeFailure(result: RunResult, repeat: string): string {
  const [first] = result.violations;
  return [
    `FAILED: ${first?.rule ?? ""}. Repeat it with: ${repeat}`,
    ...result.violations.map(({ atMs, rule, details }) => `  at ${atMs.toFixed(3)} ms: ${rule}: ${details}`),
    "faults:",
    ...result.history.map((line) => `  ${line}`),
    "the cluster then:",
    ...result.state.map((line) => `  ${line}`),
    ...(result.exits.length === 0 ? [] : ["processes that ended by themselves:"]),
    ...result.exits.map((line) => `  ${line}`),
    "last lines of the logs:",
    ...result.logs.slice(-20).map((line) => `  ${line}`),
  ].join("\n");
}

/** How much many runs did, as a distribution of each thing that makes a run count. */
export function describeSwarm(results: readonly RunResult[], coreMs: number): string {
  const counting = results.filter(counts).length;
  const failed = results.filter(({ violations }) => violations.length > 0).length;
  const simulatedS = results.reduce((sum, { simulatedMs }) => sum + simulatedMs, 0) / 1000;
  const rows: readonly (readonly [string, number, readonly number[]])[] = [
    ["simulated seconds", countsFrom.simulatedMs / 1000, results.map(({ simulatedMs }) => simulatedMs / 1000)],
    ["acknowledged batches", countsFrom.acknowledgedBatches, results.map((each) => each.acknowledgedBatches)],
    ["faults", countsFrom.faults, results.map(faultsOf)],
    ["kinds of faults", countsFrom.faultKinds, results.map(({ faults }) => faults.size)],
    ["elections", countsFrom.elections, results.map(({ elections }) => elections)],
    ["unclean elections", 0, results.map((each) => each.uncleanElections)],
    ["terms of the quorum", 0, results.map(({ quorum }) => quorum.terms)],
    ["entries of the quorum", 0, results.map(({ quorum }) => quorum.entries)],
    ["changes of members", 0, results.map(({ quorum }) => quorum.changes)],
  ];
  const kinds = new Map<string, number>();
  for (const { faults } of results) for (const [kind, count] of faults) kinds.set(kind, (kinds.get(kind) ?? 0) + count);
  return [
    `${results.length} seeds, ${counting} count, ${failed} failed; ${simulatedS.toFixed(0)} simulated s in ${(coreMs / 1000).toFixed(1)} core s: ${((simulatedS * 1000) / coreMs).toFixed(0)} a second`,
    "                       needed      min       p10    median       p90       max",
    ...rows.map(
      ([name, needed, values]) => `${name.padEnd(22)}${column(needed)}${spread(values).map(column).join("")}`,
    ),
    `faults: ${Array.from(kinds, ([kind, count]) => `${kind} ${count}`).join(", ")}`,
  ].join("\n");
}

function column(value: number): string {
  return value.toFixed(0).padStart(10);
}

function spread(values: readonly number[]): readonly number[] {
  const sorted = values.toSorted((left, right) => left - right);
  return [0, 0.1, 0.5, 0.9, 1].map((share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0);
}

/** How many files are named that have lines which were not run. */
const filesNamed = 40;

/** The share of lines that were run, a line for each package; where most were not; and what does not count. */
export function describeCoverage(files: readonly LineCoverage[]): string {
  const packages = Map.groupBy(files, ({ path }) => path.split("/").slice(0, 2).join("/"));
  const worst = files
    .filter(({ missed }) => missed.length > 0)
    .toSorted((left, right) => right.missed.length - left.missed.length);
  return [
    "lines that were run:",
    ...Array.from(packages, ([name, each]) => `  ${shareOf(each)} ${name}`),
    `  ${shareOf(files)} together`,
    "files with the most lines that were not run, and these lines:",
    ...worst.slice(0, filesNamed).map(({ path, missed }) => `  ${column(missed.length)} ${path}: ${rangesOf(missed)}`),
    "left out:",
    ...leftOut.map(({ what, reason }) => `  ${what}: ${reason}`),
  ].join("\n");
}

/** 3 4 5 8: `3-5 8`. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && number <= last.to + 1) last.to = number;
    else ranges.push({ from: number, to: number });
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(" ");
}

function shareOf(files: readonly LineCoverage[]): string {
  const lines = files.reduce((sum, file) => sum + file.lines, 0);
  const missed = files.reduce((sum, file) => sum + file.missed.length, 0);
  return `${((100 * (lines - missed)) / Math.max(1, lines)).toFixed(1).padStart(5)} % of ${String(lines).padStart(5)}`;
}
