/**
 * `npm test`: every check and every test that needs nothing from outside, as turbo tasks. Flags are turbo's own, for
 * example `npm test -- --force` or `npm test -- --filter=@tidemark/log`.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { contractLines, contractRuns, isUneven, missingBackends, type NamedReport } from "./contract-runs.ts";
import {
  add,
  type Counts,
  closingLine,
  countedIn,
  countTask,
  none,
  type TaskSummary,
  type TestReport,
} from "./counts.ts";
import { type FailureReport, failureLines } from "./failures.ts";
import { root } from "./repository.ts";
import { runCommand } from "./run-command.ts";

const tasks = [
  "boundaries",
  "typecheck",
  "format:check",
  "lint",
  "unused",
  "lint:proto",
  "breaking",
  "generated",
  "test:unit",
  "test:integration",
];

const runs = join(root, ".turbo", "runs");

function newestSummary(): readonly TaskSummary[] {
  const newest = existsSync(runs) ? readdirSync(runs).sort().at(-1) : undefined;
  // Turbo ended before it ran anything; its own words stand above.
  if (newest === undefined) return [];
  return (JSON.parse(readFileSync(join(runs, newest), "utf8")) as { tasks: TaskSummary[] }).tasks;
}

type Report = TestReport & NamedReport & FailureReport;

function reportOf(task: TaskSummary): Report | undefined {
  const kind = task.task.replace("test:", "");
  try {
    return JSON.parse(readFileSync(join(root, task.directory, "test-results", `${kind}.json`), "utf8")) as Report;
  } catch {
    return undefined;
  }
}

function line(task: TaskSummary, counts: Counts): string {
  const { startTime = 0, endTime = 0 } = task.execution ?? {};
  const seconds = ((endTime - startTime) / 1000).toFixed(1).padStart(7);
  const verdict = counts.failed > 0 ? "FAILED" : "      ";
  const cached = task.cache?.status === "HIT" ? " (cached)" : "";
  return `${verdict} ${seconds} s ${String(counts.passed).padStart(6)} passed  ${task.taskId}${cached}`;
}

rmSync(runs, { recursive: true, force: true });
const code = await runCommand(
  "turbo",
  [
    "run",
    ...tasks,
    "--concurrency=2",
    "--continue",
    "--summarize",
    "--output-logs=errors-only",
    ...process.argv.slice(2),
  ],
  { TURBO_TELEMETRY_DISABLED: "1", TURBO_NO_UPDATE_NOTIFIER: "1", FORCE_COLOR: "0" },
);

let total = none;
const reports: NamedReport[] = [];
for (const task of newestSummary()) {
  if (!tasks.includes(task.task)) continue;
  const report = task.task.startsWith("test:") ? reportOf(task) : undefined;
  const counts = countTask(task, report);
  total = add(total, counts);
  if (report !== undefined) reports.push(report);
  console.log(line(task, counts));
  for (const [what, count] of report === undefined ? [] : countedIn(report))
    console.log(`${" ".repeat(27)}${what}: ${count}`);
  for (const each of report === undefined ? [] : failureLines(report, root, " ".repeat(27))) console.log(each);
}
const runsOfContract = contractRuns(reports);
// Turbo's flags may leave packages out on purpose.
const isWhole = process.argv.slice(2).every((flag) => flag === "--force");
const missing = isWhole ? missingBackends(runsOfContract) : [];
for (const each of contractLines(runsOfContract, missing)) console.log(each);
if (isUneven(runsOfContract) || missing.length > 0) total = add(total, { passed: 0, failed: 1 });
if (code !== 0 && total.failed === 0) total = add(total, { passed: 0, failed: 1 });
if (total.failed > 0) console.log("\n`npm run fix` mends formatting, imports and generated code.");
console.log(`\n${closingLine(total)}`);
process.exitCode = total.failed > 0 ? 1 : 0;
