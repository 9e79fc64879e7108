import { expect, test } from "vitest";
import { createExitWatch } from "./exit-watch.ts";
import { createViolations } from "./violations.ts";

test.each([
  { refusals: 0, found: ["a process ended without a cause"] },
  { refusals: 1, found: [] },
])("the end of a process whose disk refused $refusals operations", ({ refusals, found }) => {
  const violations = createViolations({ nowMs: 0 });
  const watch = createExitWatch(violations);
  watch({ atMs: 0, node: "broker-1", error: new Error("It does not want to go on"), refusals });
  expect(violations.found.map(({ rule }) => rule)).toEqual(found);
});
