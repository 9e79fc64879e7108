/** `npm run sim`: whole clusters in one process, from a seed each. */
import process from "node:process";
import { runChildren, shareOfThisProcess } from "./node/children.ts";
import { print } from "./node/process.ts";
import { readOrEnd } from "./runs/arguments.ts";
import { createTally, type Told } from "./runs/tally.ts";

// The cluster's own code is loaded only by those who run it.
const share = shareOfThisProcess();
if (share === undefined) {
  const asked = readOrEnd();
  const tally = createTally();
  process.exitCode = await runChildren("../main.ts", asked.jobs, (told) => tally.take(told as Told));
  const summary = tally.describe();
  if (summary !== undefined) print(summary);
} else {
  const { runCommand } = await import("./runs/command.ts");
  process.exitCode = await runCommand(readOrEnd(), share);
}
