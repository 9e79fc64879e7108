/**
 * Runs a script against a scripted cluster: blocks of commands, each followed by `----` and the lines that are expected.
 * `commands.ts` has the table of commands.
 */
import { createScriptedCluster } from "../testing/scripted-cluster.ts";
import { type Run, runCommand } from "./commands.ts";

/** The script with the expectations that this run gives. */
export function runScript(text: string): string {
  const run: Run = {
    cluster: createScriptedCluster({ voters: ["n1"] }),
    cuts: new Set(),
    copies: new Map(),
    past: [],
    said: [],
  };
  return `${text
    .trimEnd()
    .split(/\n{2,}/)
    .map((block) => runBlock(run, block))
    .join("\n\n")}\n`;
}

/** Comments and commands, up to `----`; what follows it is made anew. */
function runBlock(run: Run, block: string): string {
  const lines = block.split("\n");
  const end = lines.indexOf("----");
  const commands = end === -1 ? lines : lines.slice(0, end);
  const shown: string[] = [];
  for (const line of commands) {
    if (line.startsWith("#")) continue;
    shown.push(...runCommand(run, line), ...run.cluster.takeTrace());
  }
  return [...commands, ...(shown.length > 0 ? ["----", ...shown] : [])].join("\n");
}
