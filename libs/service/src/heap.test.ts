import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("./testing/quiet-service.ts", import.meta.url));

test("a service's heap may grow to four times what a collection leaves, however little the service allocates", () => {
  const { stdout, status } = spawnSync(
    process.execPath,
    ["--expose-gc", "--trace-gc-verbose", program, "--controller.endpoints=127.0.0.1:1"],
    { encoding: "utf8" },
  );
  const factors = [...stdout.matchAll(/\[HeapController\] factor (\d+\.\d)/g)].map(([, factor]) => factor);
  expect(status).toBe(0);
  expect(factors.length).toBeGreaterThanOrEqual(2);
  expect(new Set(factors)).toEqual(new Set(["4.0"]));
});
