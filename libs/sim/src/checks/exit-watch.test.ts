import { EtcdOpenError } from "@tidemark/consensus-etcd";
import { expect, test } from "vitest";
import { createExitWatch } from "./exit-watch.ts";
import { createViolations } from "./violations.ts";

test.each([
  { isOfDisk: false, found: ["a process ended without a cause"] },
  { isOfDisk: true, found: [] },
])("the end of a process that its disk gave cause to ($isOfDisk)", ({ isOfDisk, found }) => {
  const violations = createViolations({ nowMs: 0 });
  const watch = createExitWatch(violations);
  watch({ atMs: 0, node: "broker-1", error: new Error("It does not want to go on"), isOfDisk });
  expect(violations.found.map(({ rule }) => rule)).toEqual(found);
});

test.each([
  { code: "NO_SPACE", found: [] },
  { code: "UNREACHABLE", found: ["a process ended without a cause"] },
] as const)("the end of a controller whose etcd says $code", ({ code, found }) => {
  const violations = createViolations({ nowMs: 0 });
  const error = new Error("The start is refused", { cause: new EtcdOpenError(code, "as etcd has it") });
  createExitWatch(violations)({ atMs: 0, node: "controller-1", error, isOfDisk: false });
  expect(violations.found.map(({ rule }) => rule)).toEqual(found);
});
