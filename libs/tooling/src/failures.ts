/**
 * What failed, told once more beside the count: the whole output of a run with many packages is long, and whoever reads
 * only its end, or is shown only a part, has to learn the name of the test and its reason.
 */
import { relative } from "node:path";

/** What is read of a report in the JSON form that the test runner writes, beside its counts. */
export interface FailureReport {
  readonly testResults?: readonly {
    /** The file of the tests. */
    readonly name?: string;
    /** Why the file itself failed: it does not load, or a hook of it threw. Empty otherwise. */
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly fullName?: string;
      readonly status?: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

const linesOfReason = 12;

function indented(reasons: readonly string[], from: string): readonly string[] {
  const lines = reasons
    .flatMap((reason) => reason.split("\n"))
    .filter((line) => line.trim() !== "" && !line.includes("node_modules"));
  return lines.slice(0, linesOfReason).map((line) => `${from}  ${line}`);
}

/**
 * Each failed test of a report, and each file that failed by itself: a line with its place and name, then the first
 * lines of the reason. Paths are relative to `root`.
 */
export function failureLines({ testResults = [] }: FailureReport, root: string, indent: string): readonly string[] {
  return testResults.flatMap(({ name = "", message = "", assertionResults }) => {
    const file = relative(root, name);
    const tests = assertionResults
      .filter(({ status }) => status === "failed")
      .flatMap(({ fullName = "", failureMessages }) => [
        `${indent}${file} > ${fullName}`,
        ...indented(failureMessages ?? [], indent),
      ]);
    return message === "" ? tests : [`${indent}${file}`, ...indented([message], indent), ...tests];
  });
}
