import { describe, expect, test } from "vitest";
import { add, closingLine, countedIn, countReport, countTask, none, readClosingLine } from "./counts.ts";

const report = (over: object = {}) => ({
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  success: true,
  ...over,
});
const task = (name: string, exitCode: number) => ({
  taskId: `x#${name}`,
  task: name,
  directory: "libs/x",
  execution: { exitCode },
});

describe("the closing line", () => {
  test("is read back as it was written, the last one of several", () => {
    const output = `noise 1 passed, 2 failed\n${closingLine({ passed: 1, failed: 2 })}\n${closingLine({ passed: 7, failed: 0 })}\n`;
    expect(readClosingLine(output)).toEqual({ passed: 7, failed: 0 });
  });

  test("is missing where no line is one", () => {
    expect(readClosingLine("12 passed, 3 failed, or so")).toBeUndefined();
  });
});

describe("counting", () => {
  test("adds up", () => {
    expect(add(none, { passed: 1, failed: 2 })).toEqual({ passed: 1, failed: 2 });
  });

  test.each([
    ["a skipped test fails", report({ numPendingTests: 2 }), { passed: 3, failed: 2 }],
    ["a file that does not load fails", report({ numPassedTests: 0, success: false }), { passed: 0, failed: 1 }],
    ["failed tests are counted once", report({ numFailedTests: 2, success: false }), { passed: 3, failed: 2 }],
  ])("%s", (_, given, counts) => {
    expect(countReport(given)).toEqual(counts);
  });

  test.each([
    ["a check that passed is one", task("lint", 0), undefined, { passed: 1, failed: 0 }],
    ["a check that failed is one", task("lint", 1), undefined, { passed: 0, failed: 1 }],
    ["a test task without a report failed", task("test:unit", 0), undefined, { passed: 0, failed: 1 }],
    ["a test task that died after its tests failed", task("test:unit", 1), report(), { passed: 3, failed: 1 }],
    ["a test task counts its tests", task("test:unit", 0), report(), { passed: 3, failed: 0 }],
  ])("%s", (_, given, results, counts) => {
    expect(countTask(given, results)).toEqual(counts);
  });

  test("sums up what tests say that they went through", () => {
    const counted = (...counts: number[]) => ({
      assertionResults: [{}, { meta: {} }, ...counts.map((states) => ({ meta: { counted: { states } } }))],
    });
    expect(countedIn(report({ testResults: [counted(2, 3), counted(), counted(5)] }))).toEqual(
      new Map([["states", 10]]),
    );
    expect(countedIn(report())).toEqual(new Map());
  });
});
