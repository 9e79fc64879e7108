/**
 * `npm run test:interop`: what needs a program from outside. A case whose program is not there is counted as absent, by
 * name, and fails where TIDEMARK_REQUIRE names the program. `npm run test:jaeger` runs those that need a Jaeger, and has it
 * built where there is none: that takes too long to be done where nobody asked for it.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { closingLine, type TestMeta, type TestReport } from "./counts.ts";
import { failureLines } from "./failures.ts";
import { root } from "./repository.ts";
import { runCommand } from "./run-command.ts";

interface TestResult {
  readonly status: string;
  readonly fullName: string;
  readonly meta?: TestMeta;
}

interface InteropReport extends TestReport {
  readonly testResults: readonly { readonly assertionResults: readonly TestResult[] }[];
}

const reportFile = join(root, "test-results", "interop.json");
rmSync(reportFile, { force: true });
/** Parts of the names of files; none: all of them. */
const filters = process.argv.slice(2);
const code = await runCommand("vitest", ["run", "--config", "libs/tooling/vitest.interop.config.ts", ...filters], {
  ...(filters.includes("jaeger") ? { JAEGER_BUILD: "yes" } : {}),
});
const report = JSON.parse(readFileSync(reportFile, "utf8")) as InteropReport;
const absent = report.testResults
  .flatMap((file) => file.assertionResults)
  .filter((result) => result.status === "skipped" || result.status === "pending")
  .map((result) => result.fullName);

console.log(`\n${absent.length} absent${absent.map((name) => `\n  ${name}`).join("")}`);
const failed = report.numFailedTests === 0 && code !== 0 ? 1 : report.numFailedTests;
for (const each of failureLines(report, root, "")) console.log(each);
console.log(closingLine({ passed: report.numPassedTests, failed }));
process.exitCode = failed > 0 ? 1 : 0;
