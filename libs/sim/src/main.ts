/** `npm run sim`: whole clusters in one process, from a seed each. */
import process from "node:process";
import { runChildren, shareOfThisProcess } from "./node/children.ts";
import { isToBeCovered, recordCoverage } from "./node/coverage.ts";
import { print } from "./node/process.ts";
import type { Told } from "./runs/tally.ts";

const share = shareOfThisProcess();
const recorder = share !== undefined && isToBeCovered() ? await recordCoverage() : undefined;
// The cluster's own code is loaded after that.
const { readOrEnd } = await import("./runs/arguments.ts");
if (share === undefined) {
  const { createTally } = await import("./runs/tally.ts");
  const asked = readOrEnd();
  const tally = createTally();
  process.exitCode = await runChildren("../main.ts", asked.jobs, (told) => tally.take(told as Told));
  const summary = tally.describe();
  if (summary !== undefined) print(summary);
} else {
  const { runCommand } = await import("./runs/command.ts");
  process.exitCode = await runCommand(readOrEnd(), share, recorder);
}
