import { spawnSync } from "node:child_process";
import { outsideTools } from "@tidemark/tooling/outside-tools";
import { type TestContext, test } from "vitest";

const required = new Set((process.env.TIDEMARK_REQUIRE ?? "").split(",").filter((name) => name !== ""));

/**
 * Ends a test whose program from outside is not there: it is counted as absent, by its name, and fails if
 * TIDEMARK_REQUIRE names the program.
 */
export function isAbsent(context: TestContext, tool: string, why: string): never {
  if (required.has(tool)) throw new Error(`${tool} is required: ${why}`);
  // Not passed in silence: interop counts what was skipped as absent, and CI requires what its machine has.
  context.skip(why);
}

/**
 * A test that needs a program from outside. Where it is not there the test is counted as absent, by its name, and fails
 * if TIDEMARK_REQUIRE names the program.
 */
export function testWith(tool: string, name: string, body: () => Promise<void>, timeoutMs = 600_000): void {
  const { command } = outsideTools.find((known) => known.name === tool) ?? {};
  if (command === undefined) throw new Error(`${tool} is not in the list of outside tools`);
  test(
    `${name} [${tool}]`,
    async (context) => {
      if (spawnSync("sh", ["-c", `command -v ${command}`]).status !== 0) {
        isAbsent(context, tool, `${command} is not on the PATH`);
      }
      await body();
    },
    timeoutMs,
  );
}
