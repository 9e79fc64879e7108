import { expect, test } from "vitest";
import { exitReport } from "./exit-report.ts";

test("records that are left behind are counted over all producers, and nothing is said where there are none", () => {
  expect(exitReport([])).toBeUndefined();
  expect(exitReport([0, 0])).toBeUndefined();
  expect(exitReport([0, 1])).toContain("1 record was not settled");
  expect(exitReport([2, 3])).toContain("5 records were not settled");
});
