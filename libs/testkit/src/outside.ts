import { spawnSync } from "node:child_process";
import { outsideTools } from "@tidemark/tooling/outside-tools";
import { test } from "vitest";

const required = new Set((process.env.TIDEMARK_REQUIRE ?? "").split(",").filter((name) => name !== ""));

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
        if (required.has(tool)) throw new Error(`${tool} is required, and \`${command}\` is not on the PATH`);
        context.skip(`${command} is not on the PATH`);
      }
      await body();
    },
    timeoutMs,
  );
}
