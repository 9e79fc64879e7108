/** `npm run fix`: mends what a program can mend. */
import { runCommand } from "./run-command.ts";

const steps: readonly (readonly [string, ...string[]])[] = [
  ["npm", "run", "--silent", "generate", "--workspace=@tidemark/proto"],
  ["eslint", "--config", "libs/tooling/eslint.config.js", "--fix", "."],
  ["biome", "check", "--write", "."],
];

for (const [program, ...args] of steps) {
  const code = await runCommand(program, args);
  if (code !== 0) process.exitCode = code;
}
