import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exitReport } from "./exit-report.ts";

test("records that are left behind are counted over all producers, and nothing is said where there are none", () => {
  expect(exitReport([])).toBeUndefined();
  expect(exitReport([0, 0])).toBeUndefined();
  expect(exitReport([0, 1])).toContain("1 record was not settled");
  expect(exitReport([2, 3])).toContain("5 records were not settled");
});

test.each([
  [
    "3",
    "tidemark: 3 records were not settled when the process ended: sent or not, nobody waited. Await producer.close().\n",
  ],
  ["0", ""],
])("a process that leaves %s records behind says so on standard error, and ends as it would", (count, says) => {
  const program = fileURLToPath(new URL("../testing/leave-records.ts", import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, count], { encoding: "utf8" });
  expect([stdout, stderr, status]).toEqual(["", says, 0]);
});
