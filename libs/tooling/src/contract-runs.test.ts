import { describe, expect, it } from "vitest";
import { contractLines, contractRuns, isUneven } from "./contract-runs.ts";

const report = (backend: string, ...statuses: string[]) => ({
  testResults: [
    {
      assertionResults: [
        { ancestorTitles: ["something else"], status: "passed" },
        ...statuses.map((status) => ({ ancestorTitles: [`consensus contract: ${backend}`, "C1"], status })),
      ],
    },
  ],
});

describe("the runs of the consensus contract", () => {
  it("stand side by side, each with its cases, and nothing else does", () => {
    const runs = contractRuns([report("twin", "passed", "passed"), report("raft", "passed", "passed"), {}]);
    expect(contractLines(runs)).toEqual([
      "The consensus contract, one suite on each backend:",
      "     2 passed, 0 failed  raft",
      "     2 passed, 0 failed  twin",
    ]);
    expect(isUneven(runs)).toBe(false);
  });

  it("fail where one has fewer cases than another", () => {
    const runs = contractRuns([report("twin", "passed", "passed"), report("raft", "passed")]);
    expect(isUneven(runs)).toBe(true);
    expect(contractLines(runs).at(-1)).toContain("not as many");
  });

  it("count a case that was skipped as failed", () => {
    expect(contractRuns([report("twin", "passed", "skipped")])).toEqual([
      { backend: "twin", counts: { passed: 1, failed: 1 } },
    ]);
  });

  it("are not spoken of where none of them ran", () => {
    expect(contractLines(contractRuns([{}]))).toEqual([]);
  });
});
