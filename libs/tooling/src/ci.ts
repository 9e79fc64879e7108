/**
 * What CI runs: `npm test` with nothing taken from a cache, then `npm run test:interop` with every outside tool required
 * that this machine has.
 */
import { spawnSync } from "node:child_process";
import { add, type Counts, closingLine, none, readClosingLine } from "./counts.ts";
import { outsideTools } from "./outside-tools.ts";
import { runAndRead } from "./run-command.ts";

async function counted(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Counts> {
  const { code, output } = await runAndRead("npm", args, env);
  const counts = readClosingLine(output) ?? none;
  if (code === 0 || counts.failed > 0) return counts;
  console.error(`${name} ended with exit code ${code}`);
  return add(counts, { passed: 0, failed: 1 });
}

const present = outsideTools.filter((tool) => spawnSync("sh", ["-c", `command -v ${tool.command}`]).status === 0);
const total = add(
  await counted("npm test", ["test", "--silent", "--", "--force"], {}),
  await counted("npm run test:interop", ["run", "--silent", "test:interop"], {
    TIDEMARK_REQUIRE: present.map((tool) => tool.name).join(","),
  }),
);
console.log(`\n${closingLine(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
