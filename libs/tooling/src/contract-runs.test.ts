import { describe, expect, it } from "vitest";
import { contractBackends, contractLines, contractRuns, isUneven, missingBackends } from "./contract-runs.ts";

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

  it("fail where a backend that has to have one has none", () => {
    const all = contractRuns(contractBackends.map((backend) => report(backend, "passed")));
    expect(missingBackends(all)).toEqual([]);
    const missing = missingBackends(all.filter(({ backend }) => backend !== "real etcd"));
    expect(missing).toEqual(["real etcd"]);
    expect(contractLines(all, missing).at(-1)).toBe("  FAILED: there is no run on: real etcd");
    expect(contractLines([], missingBackends([]))).toHaveLength(1 + contractBackends.length);
  });

  it("are not spoken of where none of them ran", () => {
    expect(contractLines(contractRuns([{}]))).toEqual([]);
  });
});
