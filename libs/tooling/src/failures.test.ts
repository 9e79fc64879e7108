import { expect, test } from "vitest";
import { failureLines } from "./failures.ts";

const passed = { fullName: "adds up", status: "passed", failureMessages: [] };

test("a failed test is told with its file, its name and the first lines of its reason", () => {
  const trace = Array.from({ length: 40 }, (_, line) => `    at line ${line}`).join("\n");
  const failed = {
    fullName: "a leader leads",
    status: "failed",
    failureMessages: [`AssertionError: 1 is not 2\n${trace}`],
  };
  const report = {
    testResults: [{ name: "/clone/libs/x/a.test.ts", message: "", assertionResults: [passed, failed] }],
  };
  const lines = failureLines(report, "/clone", "    ");
  expect(lines.slice(0, 3)).toEqual([
    "    libs/x/a.test.ts > a leader leads",
    "      AssertionError: 1 is not 2",
    "          at line 0",
  ]);
  expect(lines).toHaveLength(13);
});

test("a file that does not load is told with its reason", () => {
  const report = {
    testResults: [{ name: "/clone/libs/x/a.test.ts", message: "Cannot find it\n\n  in there", assertionResults: [] }],
  };
  expect(failureLines(report, "/clone", "")).toEqual(["libs/x/a.test.ts", "  Cannot find it", "    in there"]);
});

test("what passed is not told", () => {
  expect(failureLines({ testResults: [{ assertionResults: [passed] }] }, "/clone", "")).toEqual([]);
  expect(failureLines({}, "/clone", "")).toEqual([]);
});
